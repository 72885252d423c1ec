"""Bodies that a server sends packed, or calls packed: unpacked within the limit on bytes.

Packing is not asked for, but some servers pack what they are asked for plain, keep objects packed,
or give a coding that is none. What the bytes are counts for more than what the server calls them.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Final

from ...errors import UnreadableImage
from ...images.limits import ImageLimits, too_many_bytes
from ...images.sniff import Kind, sniff
from ...schema import Reason

# "aws-chunked" is left behind by uploads to object stores; the rest are mistaken for codings.
_PLAIN: Final = frozenset(
    {"", "identity", "none", "null", "binary", "8bit", "7bit", "aws-chunked", "utf-8", "utf8"}
)
_GZIP: Final = b"\x1f\x8b"
_MAX_CODINGS: Final = 3


def unpacked(raw: bytes, content_encoding: str, limits: ImageLimits) -> bytes:
    """Return a body without the codings that its Content-Encoding names.

    Raises:
        UnreadableImage: TOO_MANY_BYTES, or FETCH_FAILED for a coding that is not read or a body
            that is damaged.
    """
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    codings = [coding for coding in codings if coding not in _PLAIN]
    if len(codings) > _MAX_CODINGS:
        raise UnreadableImage(
            Reason.FETCH_FAILED, f"packed {len(codings)} times; allowed: {_MAX_CODINGS}"
        )
    for coding in reversed(codings):
        if sniff(raw).kind is Kind.IMAGE:
            return raw
        unpack = _UNPACK.get(coding)
        if unpack is None:
            detail = f'the body is packed as "{coding[:40]}"; read are {", ".join(_UNPACK)}'
            raise UnreadableImage(Reason.FETCH_FAILED, detail)
        try:
            raw = unpack(raw, limits)
        except (zlib.error, ValueError) as error:
            detail = f"packed as {coding}, and damaged: {error}"
            raise UnreadableImage(Reason.FETCH_FAILED, detail) from error
    return raw


def _gunzip(raw: bytes, limits: ImageLimits) -> bytes:
    """All members of a gzip file; what is none comes back as it is."""
    found = bytearray()
    while raw.startswith(_GZIP):
        more, raw = _inflate(raw, zlib.MAX_WBITS | 16, limits, limits.max_bytes - len(found))
        found += more
        if not raw.startswith(_GZIP):  # the end, or filling behind it
            return bytes(found)
    return raw


def _inflate_either(raw: bytes, limits: ImageLimits) -> bytes:
    """Deflate as the standard means it, within zlib's frame, or bare, as some servers send it."""
    is_framed = len(raw) > 1 and raw[0] & 0x0F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0
    wbits = zlib.MAX_WBITS if is_framed else -zlib.MAX_WBITS
    return _inflate(raw, wbits, limits, limits.max_bytes)[0]


def _inflate(raw: bytes, wbits: int, limits: ImageLimits, n_left: int) -> tuple[bytes, bytes]:
    """What one stream unpacks to, at most `n_left` bytes, and what lies behind it."""
    stream = zlib.decompressobj(wbits)
    found = stream.decompress(raw, n_left + 1)
    if len(found) > n_left:
        raise too_many_bytes(f"over {limits.max_bytes} unpacked", limits)
    if not stream.eof:
        raise ValueError("it ends early")
    return found, stream.unused_data


def _unbrotli(raw: bytes, limits: ImageLimits) -> bytes:
    brotli = _first_module("brotli", "brotlicffi")
    if brotli is None:
        raise ValueError("reading it needs a library: pip install brotli")
    stream = brotli.Decompressor()
    found = bytearray()
    try:
        found += stream.process(raw, output_buffer_limit=limits.max_bytes + 1)
        while not stream.is_finished() and len(found) <= limits.max_bytes:
            more = stream.process(b"", output_buffer_limit=limits.max_bytes + 1 - len(found))
            if not more:
                raise ValueError("it ends early")
            found += more
    except TypeError as error:  # an older one that may unpack to anything
        raise ValueError("reading it needs a newer library: pip install -U brotli") from error
    except brotli.error as error:
        raise ValueError(str(error) or "no brotli") from error
    if len(found) > limits.max_bytes:
        raise too_many_bytes(f"over {limits.max_bytes} unpacked", limits)
    return bytes(found)


def _first_module(*names: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_UNPACK: Final[dict[str, Callable[[bytes, ImageLimits], bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate_either,
    "br": _unbrotli,
}
