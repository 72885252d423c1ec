"""An object as a file with random reads."""

from __future__ import annotations

import io

from ...object_addresses import parse
from .open_bucket import bucket_of, info_of


class ObjectFile(io.RawIOBase):
    """An object as a file with random reads, one request per read.

    Args:
        address: Address of the object.

    Raises:
        OSError: The object does not exist or cannot be read.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self._name = parse(address)
        self._n_bytes = info_of(address).n_bytes
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset and return the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._n_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer by one request; return the number of bytes, fewer only at the end."""
        end = min(self._at + len(buffer), self._n_bytes)
        if end <= self._at:
            return 0
        raw = bucket_of(self._name).read_range(self._name.key, self._at, end)
        buffer[: len(raw)] = raw
        self._at += len(raw)
        return len(raw)
