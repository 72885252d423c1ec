"""Output of `assay config show`: each setting's value and its origin."""

from __future__ import annotations

from typing import Any

from ...data.text.redaction import redact_url
from ...data.toml_file import toml_value
from ..fields.marks import NOT_KEPT
from .resolve import Resolved


def to_json(resolved: Resolved) -> dict[str, Any]:
    """Return the object that `assay config show --json` prints, without secrets of URLs."""
    return {
        "file": None if resolved.file is None else str(resolved.file.path),
        "settings": {
            name: {
                "value": redact_url(value) if isinstance(value, str) else value,
                "origin": resolved.origins[name].kind,
                "where": resolved.origins[name].where or None,
            }
            for name, value in resolved.request.settings().items()
            if name not in NOT_KEPT
        },
    }


def draw(resolved: Resolved) -> str:
    """Return the text that `assay config show` prints: one line per setting."""
    known = to_json(resolved)
    rows = [
        (name, toml_value(entry["value"]), str(resolved.origins[name]))
        for name, entry in known["settings"].items()
    ]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)]
    lines = [f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}" for name, value, origin in rows]
    return "\n".join([*lines, "", f"file: {known['file'] or 'none'}"])
