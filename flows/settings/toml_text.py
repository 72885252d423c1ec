"""Settings as TOML text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml_value(value: Any) -> str:
    """Return a setting's value in TOML; "-" for None, which TOML does not have."""
    if value is None:
        return "-"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str):
        # JSON escapes everything that TOML requires except one control character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def toml_text(settings: Mapping[str, Any]) -> str:
    """Return settings as the text of a TOML file, without those that are None."""
    lines = (f"{name} = {toml_value(v)}\n" for name, v in settings.items() if v is not None)
    return "".join(lines)
