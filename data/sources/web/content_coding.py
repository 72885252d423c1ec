"""Decompression of response bodies by their Content-Encoding, within the limit on bytes.

Requests ask for no compression, but some servers compress anyway, store compressed objects, or
send an invalid coding. The bytes take precedence over the header.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Final

from ...errors import UnreadableImage
from ...images.limits import ImageLimits, too_many_bytes
from ...images.sniff import Kind, sniff
from ...vocabulary import Reason

# "aws-chunked" remains from uploads to object stores; the others are not codings at all.
_PLAIN: Final = frozenset(
    {"", "identity", "none", "null", "binary", "8bit", "7bit", "aws-chunked", "utf-8", "utf8"}
)
_GZIP: Final = b"\x1f\x8b"
_MAX_CODINGS: Final = 3


def unpacked(raw: bytes, content_encoding: str, limits: ImageLimits) -> bytes:
    """Return a response body with the codings of its Content-Encoding removed.

    Args:
        raw: Body as received.
        content_encoding: Value of the header Content-Encoding; "" without one.
        limits: Limits of an image; `max_bytes` applies to the decompressed body.

    Raises:
        UnreadableImage: The body is too large (TOO_MANY_BYTES), damaged, or in an unsupported
            coding (FETCH_FAILED).
    """
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    codings = [coding for coding in codings if coding not in _PLAIN]
    if len(codings) > _MAX_CODINGS:
        raise UnreadableImage(
            Reason.FETCH_FAILED, f"{len(codings)} content codings; allowed: {_MAX_CODINGS}"
        )
    for coding in reversed(codings):
        if sniff(raw).kind is Kind.IMAGE:
            return raw
        unpack = _UNPACK.get(coding)
        if unpack is None:
            detail = f'content coding "{coding[:40]}"; supported: {", ".join(_UNPACK)}'
            raise UnreadableImage(Reason.FETCH_FAILED, detail)
        try:
            raw = unpack(raw, limits)
        except (zlib.error, ValueError) as error:
            detail = f"damaged {coding} body: {error}"
            raise UnreadableImage(Reason.FETCH_FAILED, detail) from error
    return raw


def _gunzip(raw: bytes, limits: ImageLimits) -> bytes:
    """Decompress all members of a gzip file; return other bytes unchanged."""
    found = bytearray()
    while raw.startswith(_GZIP):
        more, raw = _inflate(raw, zlib.MAX_WBITS | 16, limits, limits.max_bytes - len(found))
        found += more
        if not raw.startswith(_GZIP):  # the end, or padding after it
            return bytes(found)
    return raw


def _inflate_either(raw: bytes, limits: ImageLimits) -> bytes:
    """Decompress deflate in the zlib format (RFC 9110), or raw, as some servers send it."""
    is_framed = len(raw) > 1 and raw[0] & 0x0F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0
    wbits = zlib.MAX_WBITS if is_framed else -zlib.MAX_WBITS
    return _inflate(raw, wbits, limits, limits.max_bytes)[0]


def _inflate(raw: bytes, wbits: int, limits: ImageLimits, n_left: int) -> tuple[bytes, bytes]:
    """Decompress one stream to at most `n_left` bytes; return it and the bytes after it."""
    stream = zlib.decompressobj(wbits)
    found = stream.decompress(raw, n_left + 1)
    if len(found) > n_left:
        raise too_many_bytes(f"over {limits.max_bytes} unpacked", limits)
    if not stream.eof:
        raise ValueError("unexpected end")
    return found, stream.unused_data


def _unbrotli(raw: bytes, limits: ImageLimits) -> bytes:
    brotli = _first_module("brotli", "brotlicffi")
    if brotli is None:
        raise ValueError("a library is needed: pip install brotli")
    stream = brotli.Decompressor()
    found = bytearray()
    try:
        found += stream.process(raw, output_buffer_limit=limits.max_bytes + 1)
        while not stream.is_finished() and len(found) <= limits.max_bytes:
            more = stream.process(b"", output_buffer_limit=limits.max_bytes + 1 - len(found))
            if not more:
                raise ValueError("unexpected end")
            found += more
    except TypeError as error:  # an older version without a limit on its output
        raise ValueError("a newer library is needed: pip install -U brotli") from error
    except brotli.error as error:
        raise ValueError(str(error) or "not brotli") from error
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
