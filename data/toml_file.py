"""TOML files as plain values: plans, policies, settings beside weights."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Final

# Far above any file written by hand, so that a file named by mistake is not read in full.
MAX_BYTES: Final = 16 * 2**20


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file, with or without a byte order mark.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not TOML, not UTF-8, too large or nested too deeply.
    """
    if path.is_file() and (n_bytes := path.stat().st_size) > MAX_BYTES:
        raise ValueError(f"it has {n_bytes:,} bytes; allowed: at most {MAX_BYTES:,}")
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)  # a device file has neither size nor end
    if len(raw) > MAX_BYTES:
        raise ValueError(f"it is too long; allowed: at most {MAX_BYTES:,} bytes")
    return parse_toml(raw)


def parse_toml(raw: bytes) -> dict[str, Any]:
    """Return the values of TOML text.

    Raises:
        ValueError: The text is not TOML, not UTF-8 or nested too deeply.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"byte {error.start} is not UTF-8, which TOML must be; save it as UTF-8"
        ) from error
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its tables or lists are nested too deeply") from None


def toml_value(value: Any) -> str:
    """Return a value in TOML; "-" for None, which TOML does not have."""
    if value is None:
        return "-"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str):
        # JSON escapes everything that TOML requires except one control character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
