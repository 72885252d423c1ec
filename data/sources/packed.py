"""Compressed archives as streams that go forward, and stop before they become a flood.

A kilobyte of bzip2 can unpack to gigabytes. What comes out is counted against what went in, step
by step, so that such an archive is refused at the same byte on every machine.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, cast

from .handles import ByteStream

# So much may come out at once of very little, again and again as long as more comes in.
CREDIT_BYTES: Final = 100 * 2**20
# Images hardly shrink; bitmaps of drawings shrink to a fiftieth.
MAX_RATIO: Final = 100

_STEP_BYTES: Final = 2**18
# Small, since what is read ahead fills up a credit that is full.
_FILE_STEP_BYTES: Final = 2**14
_HISTORY_BYTES: Final = 2**16


UNPACKS_TOO_MUCH: Final = (
    f"it unpacks to more than {MAX_RATIO} times its size; allowed beyond that: "
    f"{CREDIT_BYTES // 2**20} MiB; unpack it and name the folder"
)


class Credit:
    """How much may come out of an archive still: `CREDIT_BYTES`, filled up by what goes in."""

    def __init__(self) -> None:
        self._n_bytes = CREDIT_BYTES

    def allows(self, came_in: int, goes_out: int) -> bool:
        """Take bytes that come out off the credit; False, and none taken, where it is too small."""
        filled = min(CREDIT_BYTES, self._n_bytes + MAX_RATIO * came_in)
        is_allowed = goes_out <= filled
        self._n_bytes = filled - goes_out if is_allowed else filled
        return is_allowed


class PackedTooMuchError(ValueError):
    """An archive unpacks to far more than it takes."""


class _Counted(io.RawIOBase):
    """A file that counts what is read of it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed with this
        self.n_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        n_read = self._file.readinto(buffer) or 0
        self.n_read += n_read
        return n_read

    def close(self) -> None:
        self._file.close()
        super().close()


class PackedStream:
    """The unpacked bytes of a file, read forward; going back is possible a little.

    Args:
        path: A file that `unpacker_of` knows.
        unpack: From the file to its unpacked bytes.

    Raises:
        PackedTooMuchError: On reading, once more than `CREDIT_BYTES` came out beyond `MAX_RATIO`
            times what went in.
    """

    def __init__(self, path: str, unpack: Callable[[io.BufferedIOBase], ByteStream]) -> None:
        self._file = _Counted(path)
        self._stream = unpack(io.BufferedReader(self._file, _FILE_STEP_BYTES))
        self._credit = Credit()
        self._n_counted = 0
        self._held = b""
        self._held_at = 0
        self._at = 0

    def __enter__(self) -> PackedStream:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read1(self, n_bytes: int, /) -> bytes:
        """What one step of unpacking gives, at most `n_bytes`; empty at the end."""
        step = self._stream.read1(n_bytes)
        came_in, self._n_counted = self._file.n_read - self._n_counted, self._file.n_read
        if not self._credit.allows(came_in, len(step)):
            raise PackedTooMuchError(UNPACKS_TOO_MUCH)
        return step

    def read(self, n_bytes: int) -> bytes:
        """Up to `n_bytes` from the position on; fewer only at the end."""
        found = bytearray()
        while len(found) < n_bytes:
            part = self._part(n_bytes - len(found))
            if not part:
                break
            found += part
        return bytes(found)

    def seek(self, offset: int) -> int:
        """Go to a position: forward, or back within the last 64 KiB that were read.

        At the end of the bytes it stays there.

        Raises:
            ValueError: It lies further back.
        """
        if offset < self._held_at:
            raise ValueError(f"cannot go back to {offset} from {self._at}")
        self._at = min(offset, self._held_at + len(self._held))
        while self._at < offset and self._part(offset - self._at):
            pass
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def _part(self, n_bytes: int) -> bytes:
        """Return the next bytes, at most `n_bytes`, and go behind them."""
        start = self._at - self._held_at
        if start == len(self._held):
            step = self.read1(_STEP_BYTES)
            if not step:
                return b""
            kept = self._held[-_HISTORY_BYTES:]
            self._held_at += len(self._held) - len(kept)
            self._held = kept + step
            start = len(kept)
        part = self._held[start : start + n_bytes]
        self._at += len(part)
        return part


class _Zstandard:
    """A Zstandard file's bytes, by the library that reads Parquet anyway."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        import pyarrow as pa

        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")

    def read1(self, n_bytes: int, /) -> bytes:
        step: bytes = self._stream.read(n_bytes)
        return step


_UNPACKERS: Final[dict[bytes, Callable[[io.BufferedIOBase], ByteStream]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lambda file: lzma.LZMAFile(cast("IO[bytes]", file)),  # noqa: SIM115
    b"\x28\xb5\x2f\xfd": _Zstandard,
}


def unpacker_of(path: str) -> Callable[[], PackedStream] | None:
    """Return how a compressed file is opened, by its first bytes; None for any other file."""
    with Path(path).open("rb") as file:
        head = file.read(6)
    for magic, unpack in _UNPACKERS.items():
        if head.startswith(magic):
            return lambda: PackedStream(path, unpack)
    return None
