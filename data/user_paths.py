"""Paths as users give them: `~` for a home folder, and which files may be written, and how."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .errors import ConfigError, InputError

# A file is written beside its place and renamed: here that would put a file in a device's place.
_OF_THE_SYSTEM: Final = ("/dev", "/proc", "/sys")


def from_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with `~` replaced; that of a user who does not exist stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # pathlib's raises RuntimeError


def require_output(out: Path, *, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Refuse a place that no file can be written to, before any work is done.

    Args:
        out: File to write; one that is there is replaced.
        inputs: Files that are read for it and must stay.

    Raises:
        ConfigError: It is a folder, a device or a pipe, lies among the system's own files, is one
            of the inputs, or is no name of a file.
    """
    if "\0" in str(out):
        raise ConfigError(f"{str(out)!a} is no name of a file; give the file to write")
    real = os.path.realpath(out)
    if any("\0" not in str(one) and os.path.realpath(one) == real for one in inputs):
        raise ConfigError(f"{out} is the picture itself; give another file to write")
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; give the file to write")
    places = (os.path.abspath(out), real)  # noqa: PTH100
    if any(place.startswith(f"{top}/") for top in _OF_THE_SYSTEM for place in places) or (
        out.exists() and not out.is_file()
    ):
        raise ConfigError(f"{out} is a device or a file of the system; give another file to write")


def write_output(out: Path, content: bytes) -> None:
    """Write the file that a user named.

    Raises:
        InputError: It cannot be written.
    """
    try:
        out.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
