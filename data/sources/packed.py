"""Compressed files as forward-only streams with a limit on their expansion.

A kilobyte of bzip2 can decompress to gigabytes. Output is counted against input step by step, so
that such a file is refused at the same byte on every machine.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from typing import IO, Final, cast

from .buckets.open_file import open_file, read_start
from .handles import ByteStream

# Output allowed at once from little input; refilled by further input.
CREDIT_BYTES: Final = 100 * 2**20
# Encoded images compress little; bitmaps of drawings compress to a fiftieth.
MAX_RATIO: Final = 100

_STEP_BYTES: Final = 2**18
# Small: input read ahead refills a credit that is already full, and is lost.
_FILE_STEP_BYTES: Final = 2**14
_HISTORY_BYTES: Final = 2**16


UNPACKS_TOO_MUCH: Final = (
    f"it unpacks to more than {MAX_RATIO} times its size; allowed beyond that: "
    f"{CREDIT_BYTES // 2**20} MiB; unpack it and give the folder"
)


class Credit:
    """Remaining output of an archive: at most `CREDIT_BYTES`, refilled by its input."""

    def __init__(self) -> None:
        self._n_bytes = CREDIT_BYTES

    def allows(self, came_in: int, goes_out: int) -> bool:
        """Subtract output from the credit and return True; return False if it is too small.

        Args:
            came_in: Bytes read from the archive since the last call.
            goes_out: Bytes that were or will be decompressed.
        """
        filled = min(CREDIT_BYTES, self._n_bytes + MAX_RATIO * came_in)
        is_allowed = goes_out <= filled
        self._n_bytes = filled - goes_out if is_allowed else filled
        return is_allowed


class PackedTooMuchError(ValueError):
    """A compressed file expands beyond the limit."""


class _Counted(io.RawIOBase):
    """File that counts the bytes read from it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = open_file(path)
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


class _InSteps(io.BufferedReader):
    """Buffered file that returns at most `_FILE_STEP_BYTES` per read.

    From Python 3.12 on, gzip asks for 128 KiB at once, most of which would be read ahead.
    """

    def read(self, n_bytes: int | None = -1, /) -> bytes:
        if n_bytes is not None and n_bytes > _FILE_STEP_BYTES:
            n_bytes = _FILE_STEP_BYTES
        return super().read(n_bytes)


class PackedStream:
    """Decompressed bytes of a file, read forward; seeking back is possible within 64 KiB.

    Args:
        path: Path of a file in a format of `unpacker_of`.
        unpack: Function from the compressed file to the decompressed stream.

    Raises:
        PackedTooMuchError: The output exceeds `MAX_RATIO` times the input by more than
            `CREDIT_BYTES`. Raised while reading.
    """

    def __init__(self, path: str, unpack: Callable[[io.BufferedIOBase], ByteStream]) -> None:
        self._file = _Counted(path)
        self._stream = unpack(_InSteps(self._file, _FILE_STEP_BYTES))
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
        """Return the bytes of one decompression step, at most `n_bytes`; b"" at the end.

        Raises:
            PackedTooMuchError: The output exceeds the limit.
        """
        step = self._stream.read1(n_bytes)
        came_in, self._n_counted = self._file.n_read - self._n_counted, self._file.n_read
        if not self._credit.allows(came_in, len(step)):
            raise PackedTooMuchError(UNPACKS_TOO_MUCH)
        return step

    def read(self, n_bytes: int) -> bytes:
        """Return `n_bytes` from the current position; fewer only at the end."""
        found = bytearray()
        while len(found) < n_bytes:
            part = self._part(n_bytes - len(found))
            if not part:
                break
            found += part
        return bytes(found)

    def seek(self, offset: int) -> int:
        """Move to an offset, forward or back within the last 64 KiB, and return the position.

        The position is at most the end of the stream.

        Raises:
            ValueError: The offset is further back.
        """
        if offset < self._held_at:
            raise ValueError(f"cannot go back to {offset} from {self._at}")
        self._at = min(offset, self._held_at + len(self._held))
        while self._at < offset and self._part(offset - self._at):
            pass
        return self._at

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def _part(self, n_bytes: int) -> bytes:
        """Return the next bytes, at most `n_bytes`, and advance the position."""
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
    """Decompressed bytes of a Zstandard file, by pyarrow, which is a dependency anyway."""

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
    """Return a function that opens a compressed file; None if its first bytes are of no format."""
    head = read_start(path)
    for magic, unpack in _UNPACKERS.items():
        if head.startswith(magic):
            return lambda: PackedStream(path, unpack)
    return None
