"""Paths given by users: expansion of `~`, and checked output files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .errors import ConfigError, InputError

# Output is written to a temporary file and renamed, which would replace a device by a file here.
_OF_THE_SYSTEM: Final = ("/dev", "/proc", "/sys")
_MEMORY: Final = "/dev/shm/"  # noqa: S108 - a folder for files of users, in memory


def from_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with `~` expanded; `~USER` of an unknown user stays unchanged."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # pathlib's raises RuntimeError


def require_output(out: Path, *, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Refuse a path that no output file can be written to, before any work is done.

    Args:
        out: Output file; an existing file will be replaced.
        inputs: Input files, which must not be overwritten.

    Raises:
        ConfigError: The path is a folder, a device, a pipe, below a system folder, one of the
            inputs, or not a valid file name.
    """
    if "\0" in str(out):
        raise ConfigError(f"{str(out)!a} is not a valid file name; give the file to write")
    real = os.path.realpath(out)
    if any("\0" not in str(path) and os.path.realpath(path) == real for path in inputs):
        raise ConfigError(f"{out} is an input; give another file to write")
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; give the file to write")
    places = (os.path.abspath(out), real)  # noqa: PTH100
    if any(_is_of_the_system(place) for place in places) or (out.exists() and not out.is_file()):
        raise ConfigError(f"{out} is a device or a system file; give another file to write")


def _is_of_the_system(path: str) -> bool:
    is_below = any(path.startswith(f"{top}/") for top in _OF_THE_SYSTEM)
    return is_below and not path.startswith(_MEMORY)


def write_output(out: Path, content: bytes) -> None:
    """Write the output file.

    Raises:
        InputError: The file cannot be written.
    """
    try:
        out.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
