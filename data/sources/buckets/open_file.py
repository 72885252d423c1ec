"""Files of sources, on disk or in an object store, by one set of functions."""

from __future__ import annotations

import functools
import io
import time
from pathlib import Path
from typing import Final

from ...object_addresses import is_object, parse
from ..uris import stamp_of
from .object_file import object_file
from .open_bucket import bucket_of, forget_infos, info_of

# Of an object, one request each; of a disk, the size of other buffers.
_AHEAD_BYTES: Final = 2**20
_HEAD_BYTES: Final = 1024
_FRESH_S: Final = 60


def open_file(path: str, buffer_bytes: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader:
    """Open a file or an object for random reads; an object is read ahead by 1 MiB.

    Raises:
        OSError: It does not exist or cannot be read.
    """
    if is_object(path):
        return io.BufferedReader(object_file(path), max(buffer_bytes, _AHEAD_BYTES))
    return io.BufferedReader(io.FileIO(path), buffer_bytes)


def read_start(path: str) -> bytes:
    """Return the first bytes of a file or an object, at most 1024.

    Raises:
        OSError: It does not exist or cannot be read.
    """
    if is_object(path):
        return _start_of_object(path, int(time.monotonic() / _FRESH_S))
    with Path(path).open("rb") as file:
        return file.read(_HEAD_BYTES)


@functools.lru_cache(maxsize=64)
def _start_of_object(path: str, _minute: int) -> bytes:
    name = parse(path)
    end = min(_HEAD_BYTES, info_of(path).n_bytes)
    return bucket_of(name).read_range(name.key, 0, end) if end else b""


def forget_objects() -> None:
    """Ask the stores anew for the state of objects, at the beginning of a run."""
    forget_infos()
    _start_of_object.cache_clear()


def read_part(path: str, offset: int, n_bytes: int) -> bytes:
    """Return bytes of a file or an object from an offset; fewer at the end.

    Raises:
        OSError: It does not exist or cannot be read.
    """
    if is_object(path):
        name = parse(path)
        end = min(offset + n_bytes, info_of(path).n_bytes)
        return bucket_of(name).read_range(name.key, offset, end) if end > offset else b""
    with Path(path).open("rb") as file:
        file.seek(offset)
        return file.read(n_bytes)


def file_stamp(path: str) -> str:
    """Return a text that changes if a file or an object may have changed.

    Raises:
        OSError: It does not exist or cannot be asked.
    """
    return info_of(path).stamp if is_object(path) else stamp_of(Path(path).stat())
