"""TOML files as plain values: plans, policies, settings beside weights."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

# By far more than anybody writes by hand; a file that was named by mistake is not read whole.
MAX_BYTES: Final = 16 * 2**20


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file, with or without a byte order mark.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not TOML, not UTF-8, too large or nested too deeply.
    """
    if path.is_file() and (n_bytes := path.stat().st_size) > MAX_BYTES:
        raise ValueError(f"it has {n_bytes:,} bytes, allowed are {MAX_BYTES:,}")
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)  # a device has no size, and no end
    if len(raw) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes, which is all that is allowed")
    return parse_toml(raw)


def parse_toml(raw: bytes) -> dict[str, Any]:
    """Return the values of TOML text.

    Raises:
        ValueError: As `read_toml`.
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
