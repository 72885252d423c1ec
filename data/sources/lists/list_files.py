"""Reading of list files: decompressed, as UTF-8, line by line, or from an offset.

A list may be compressed with gzip, bzip2, xz or zstd, and may be UTF-16 or UTF-32 with a byte order
mark. Offsets refer to the decompressed UTF-8 text.
"""

from __future__ import annotations

import codecs
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import pyarrow as pa

from ...errors import InputError, UnreadableImage
from ...images.sniff import Kind, sniff
from ...text.unicode import encoding_of, is_binary
from ...vocabulary import Reason
from ..buckets.open_file import file_stamp, open_file, read_part, read_start
from ..handles import ByteStream, Handles, WindowedStream
from ..packed import PackedStream, unpacker_of

PACKED_SUFFIXES: Final = (".gz", ".bz2", ".xz", ".zst")
DAMAGE: Final = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
    pa.ArrowException,
)
_STEP_BYTES: Final = 2**18
_UNPACK_BYTES: Final = 2**16
_CONTROL: Final = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
_LONE_CRS: Final = re.compile(rb"\r+(?!\n)")
_EMPTY_LINES: Final = re.compile(rb"(?:\r?\n)+")
_handles: Final[Handles[WindowedStream]] = Handles()


class RawLine(NamedTuple):
    """One line with its line end.

    Attributes:
        raw: Bytes of the line; only the beginning of a line that exceeds the limit.
        offset: Offset of the line in bytes.
        n_bytes: Length of the line in bytes; larger than `raw` if it exceeds the limit.
        n_lines: Number of lines, above 1 for consecutive empty lines.
    """

    raw: bytes
    offset: int
    n_bytes: int
    n_lines: int = 1

    @property
    def is_cut(self) -> bool:
        """Whether the line exceeds the limit."""
        return self.n_bytes > len(self.raw)


def open_list(path: str) -> io.BufferedReader:
    """Open a list as decompressed UTF-8 text; transcoded text has no byte order mark.

    Raises:
        OSError: The file cannot be opened.
    """
    stream = _unpacked(path)
    head = stream.peek(4)[:4]
    encoding, n_bom_bytes = encoding_of(head)
    if encoding == "utf-8":
        return stream
    stream.read(n_bom_bytes)
    return io.BufferedReader(_Transcoded(stream, encoding), _STEP_BYTES)


def read_head(path: str, n_bytes: int = 2**16) -> bytes:
    """Return the first bytes of a list's text.

    Raises:
        InputError: The file cannot be opened or decompressed, or is not text.
    """
    head = b""
    try:
        with open_list(path) as stream:
            while len(head) < n_bytes and (more := stream.read1(n_bytes - len(head))):
                head += more
    except DAMAGE as error:
        if not head:
            detail = str(error) or type(error).__name__
            raise InputError(f"{path}: cannot be read: {detail}") from error
    sniffed = sniff(head)
    is_text = encoding_of(head)[1] > 0 or _CONTROL.search(head[:1024]) is None
    if not is_text and sniffed.kind is not Kind.UNKNOWN:
        raise InputError(f"{path}: not a list but {sniffed.name}; correct the suffix of its name")
    if is_binary(head):
        raise InputError(
            f"{path}: not text: it has NUL or other control bytes; save the list as UTF-8"
        )
    return head


def read_at(path: str, offset: int, n_bytes: int) -> bytes:
    """Return a part of a list's text.

    Raises:
        UnreadableImage: The list was removed or is damaged.
    """
    try:
        stamp = file_stamp(path)
        if unpacker_of(path) is None and encoding_of(read_start(path)[:4])[0] == "utf-8":
            return read_part(path, offset, n_bytes)
        stream = _handles.get(
            (path, stamp), lambda: WindowedStream(lambda: cast("ByteStream", open_list(path)))
        )
        return stream.read_at(offset, n_bytes)
    except FileNotFoundError as error:
        raise UnreadableImage(Reason.NOT_FOUND, "the list was removed") from error
    except DAMAGE as error:
        detail = f"the list cannot be read: {error or type(error).__name__}"
        raise UnreadableImage(Reason.UNREADABLE, detail) from error


def raw_lines(
    stream: io.BufferedReader, longest: int, *, is_json: bool = False
) -> Iterator[RawLine]:
    """Yield the lines of a list, ended by LF, CR LF or CR, without a byte order mark.

    Args:
        stream: Decompressed UTF-8 text, see `open_list`.
        longest: Maximum length of a line in bytes; longer lines are cut.
        is_json: Whether the lines are JSON, in which a CR may be white space; it then ends a line
            only in a file without LF.
    """
    offset = 3 if stream.peek(3)[:3] == codecs.BOM_UTF8 else 0
    stream.read(offset)
    head = stream.peek(_STEP_BYTES)
    at_cr = b"\r" in head and not (is_json and b"\n" in head)
    kept = b""
    while chunk := stream.readline(longest):
        if chunk in {b"\n", b"\r\n"} and not kept:
            # A small compressed list may have a hundred million empty lines.
            n_lines, n_bytes = 1, len(chunk)
            while empty := _EMPTY_LINES.match(stream.peek(_STEP_BYTES)):
                n_lines += empty[0].count(b"\n")
                n_bytes += len(stream.read(empty.end()))
            yield RawLine(chunk, offset, len(chunk), n_lines)
            offset += n_bytes
            continue
        block = kept + chunk
        kept = b""
        begin = 0
        for cr in _LONE_CRS.finditer(block) if at_cr else ():
            yield RawLine(block[begin : cr.end()], offset, cr.end() - begin, len(cr[0]))
            offset += cr.end() - begin
            begin = cr.end()
        last = block[begin:]
        if last.endswith(b"\n"):
            yield RawLine(last, offset, len(last))
            offset += len(last)
        elif len(last) < longest:
            kept = last
        else:
            n_bytes = len(last)
            while more := stream.readline(2**20):
                end = more.find(b"\r") + 1 if at_cr else 0
                if end and more[end : end + 1] != b"\n":
                    n_bytes, kept = n_bytes + end, more[end:]
                    break
                n_bytes += len(more)
                if more.endswith(b"\n"):
                    break
            yield RawLine(last[:64], offset, n_bytes)
            offset += n_bytes
    if kept:
        yield RawLine(kept, offset, len(kept))


def _unpacked(path: str) -> io.BufferedReader:
    unpack = unpacker_of(path)
    if unpack is None:
        return open_file(path, _STEP_BYTES)
    return io.BufferedReader(_Steps(unpack()), _STEP_BYTES)


class _Steps(io.RawIOBase):
    """Decompressed stream that returns all bytes before damage, and raises only then."""

    def __init__(self, stream: PackedStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raw = self._stream.read1(min(len(buffer), _UNPACK_BYTES))
        buffer[: len(raw)] = raw
        return len(raw)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Transcoded(io.RawIOBase):
    """Stream of text in another encoding, converted to UTF-8."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            raw = self._stream.read(2**16)
            self._left = self._decoder.decode(raw, final=not raw).encode("utf-8", "replace")
            if not raw:
                break
        part = self._left[: len(buffer)]
        self._left = self._left[len(part) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._stream.close()
        super().close()
