"""Settings as TOML text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...data.toml_file import toml_value


def toml_text(settings: Mapping[str, Any]) -> str:
    """Return settings as the text of a TOML file, without those that are None."""
    lines = (f"{name} = {toml_value(v)}\n" for name, v in settings.items() if v is not None)
    return "".join(lines)
