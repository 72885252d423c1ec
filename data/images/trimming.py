"""Removal of excessive metadata before decoding.

Text, profiles, comments and unknown parts may be as large as the file, or decompress to a thousand
times its size. Parts beyond the limits are removed from the bytes given to the decoder, which
bounds memory and time and never changes pixels. Long text is read up to its limit.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import Final

from ..errors import UnreadableImage
from ..vocabulary import Reason

# Limit per text; workflows of node editors reach a few hundred kilobytes.
MAX_TEXT_BYTES: Final = 4 * 2**20
# Real profiles have 4 KB (displays) to 2 MB (presses); larger ones are not parsed.
MAX_ICC_BYTES: Final = 4 * 2**20

_MAX_TEXTS_BYTES: Final = 4 * MAX_TEXT_BYTES
# Pillow refuses a PNG with a text or a profile above this size.
_PILLOW_MAX_BYTES: Final = 2**20
# Ordinary files have a few dozen parts, files of cameras some hundred.
_MAX_METADATA_PARTS: Final = 2_000
# Segments, chunks or blocks; a walk over this many takes about 0.1 s.
MAX_PARTS: Final = 200_000

# GIF blocks have up to 255 bytes each; a walk over them is about ten times faster.
_MAX_GIF_BLOCKS: Final = 2_000_000
_MAX_EXTENSION_BLOCKS: Final = 50_000

_PNG_HEAD_BYTES: Final = 8
_PNG_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_TEXT: Final = frozenset({b"tEXt", b"zTXt", b"iTXt"})
# Ancillary chunks that affect how a PNG is displayed.
_PNG_LOOK: Final = frozenset(
    {b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"pHYs"}
)
_JPEG_MARKER: Final = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_NO_LENGTH: Final = frozenset({0x01, 0xD8})
_SCAN, _END, _COMMENT = 0xDA, 0xD9, 0xFE


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A file without excessive metadata, and the values read from the removed parts.

    Attributes:
        raw: Bytes for the decoder; the original object if nothing was removed.
        info: Entries for `Image.info`, by Pillow's keys.
    """

    raw: bytes
    info: dict[str, str | bytes] = field(default_factory=dict)


def trim_metadata(raw: bytes, format_name: str) -> Trimmed:
    """Return a file without excessive metadata.

    Args:
        raw: Encoded image.
        format_name: Pillow's format name.

    Raises:
        UnreadableImage: The file has too many parts to skip in reasonable time.
    """
    if format_name == "PNG":
        return _trim_png(raw)
    if format_name == "JPEG":
        return Trimmed(_trim_jpeg(raw))
    if format_name == "GIF":
        return Trimmed(_trim_gif(raw))
    return Trimmed(raw)


def count_scans(raw: bytes) -> tuple[int, int]:
    """Return the number of scans of a JPEG, and the offset of its end.

    Data after the end marker (a phone's video, a second image) is ignored. Without an end marker
    the JPEG ends with the file.

    Raises:
        UnreadableImage: The file has more than `MAX_PARTS` segments.
    """
    n_scans = n_parts = 0
    at = 2
    while (marker := _JPEG_MARKER.search(raw, at)) is not None:
        n_parts += 1
        if n_parts > MAX_PARTS:
            raise _too_many_parts("JPEG", "segments")
        kind = raw[marker.end() - 1]
        if kind == _END:
            return n_scans, marker.end()
        n_scans += kind == _SCAN
        at = marker.end()
        if kind not in _NO_LENGTH:
            at += max(2, int.from_bytes(raw[at : at + 2], "big"))
    return n_scans, len(raw)


def _too_many_parts(format_name: str, parts: str, allowed: int = MAX_PARTS) -> UnreadableImage:
    return UnreadableImage(
        Reason.UNREADABLE, f"{format_name} in more than {allowed} {parts}; save it again"
    )


def _trim_jpeg(raw: bytes) -> bytes:
    """Remove comments and application segments after the first 2,000."""
    kept: list[bytes] = [raw[:2]]
    at, n_parts, n_metadata = 2, 0, 0
    while (marker := _JPEG_MARKER.match(raw, at)) is not None:
        kind = raw[marker.end() - 1]
        if kind in {_SCAN, _END}:
            break
        n_parts += 1
        if n_parts > MAX_PARTS:
            raise _too_many_parts("JPEG", "segments")
        end = marker.end()
        if kind not in _NO_LENGTH:
            end += max(2, int.from_bytes(raw[end : end + 2], "big"))
        n_metadata += 0xE0 <= kind <= 0xEF or kind == _COMMENT
        if n_metadata <= _MAX_METADATA_PARTS or not (0xE0 <= kind <= 0xEF or kind == _COMMENT):
            kept.append(raw[marker.end() - 2 : end])
        at = end
    if n_metadata <= _MAX_METADATA_PARTS:
        return raw
    return b"".join([*kept, raw[at:]])


def _trim_png(raw: bytes) -> Trimmed:
    kept: list[tuple[int, int]] = []
    info: dict[str, str | bytes] = {}
    room = _MAX_TEXTS_BYTES
    at, n_parts, n_metadata, start, last = _PNG_HEAD_BYTES, 0, 0, 0, b""
    while at + 8 <= len(raw):
        n_body = int.from_bytes(raw[at : at + 4], "big")
        kind = raw[at + 4 : at + 8]
        end = at + 12 + n_body
        n_parts += 1
        if n_parts > MAX_PARTS:
            raise _too_many_parts("PNG", "chunks")
        is_spare = False
        if kind[:1].islower() and kind not in _PNG_LOOK:
            n_metadata += 1
            is_spare = n_metadata > _MAX_METADATA_PARTS
            if kind in _PNG_TEXT and not is_spare and _is_much(kind, raw, at + 8, n_body):
                is_spare = True
                key, text = _text_of(kind, raw[at + 8 : at + 8 + n_body], min(room, MAX_TEXT_BYTES))
                room -= len(text)
                if key and text:
                    info[key] = text
        elif kind == b"iCCP" and n_body > 0 and end <= len(raw):
            profile = _unpacked_profile(raw[at + 8 : at + 8 + n_body])
            if profile is None or len(profile) > _PILLOW_MAX_BYTES:
                is_spare = True
                info |= {"icc_profile": profile} if profile else {}
        if is_spare:
            kept.append((start, at))
            start = end
        if end > len(raw) and kind != b"IDAT" and last == b"IDAT":
            # Truncated after the last pixel data: the image is complete.
            kept.append((start, at))
            return Trimmed(b"".join([*(raw[a:b] for a, b in kept), _PNG_END]), info)
        at, last = end, kind
        if kind == b"IEND":
            break
    if not kept:
        return Trimmed(raw)
    kept.append((start, len(raw)))
    return Trimmed(b"".join(raw[begin:end] for begin, end in kept), info)


def _is_much(kind: bytes, raw: bytes, at: int, n_body: int) -> bool:
    """Return whether a text chunk is larger than Pillow allows, or compressed."""
    if n_body > _PILLOW_MAX_BYTES or kind == b"zTXt":
        return True
    if kind == b"iTXt":
        end_of_key = raw.find(b"\0", at, at + min(n_body, 81))
        return end_of_key >= 0 and raw[end_of_key + 1 : end_of_key + 2] == b"\1"
    return False


def _text_of(kind: bytes, body: bytes, max_bytes: int) -> tuple[str, str]:
    """Return key and text of a text chunk; the text ends at damage or at the limit."""
    key, _, rest = body.partition(b"\0")
    name = key.decode("latin-1", "replace")
    if kind == b"tEXt":
        return name, rest[:max_bytes].decode("latin-1", "replace")
    if kind == b"zTXt":
        return name, _unpacked(rest[1:], max_bytes).decode("latin-1", "replace")
    is_packed = rest[:1] == b"\1"
    _, _, rest = rest[2:].partition(b"\0")
    _, _, rest = rest.partition(b"\0")
    text = _unpacked(rest, max_bytes) if is_packed else rest[:max_bytes]
    return name, text.decode("utf-8", "replace")


def _unpacked_profile(body: bytes) -> bytes | None:
    """Return a decompressed colour profile; None if it is damaged or too large."""
    _, _, rest = body.partition(b"\0")
    profile = _unpacked(rest[1:], MAX_ICC_BYTES + 1)
    return profile if 0 < len(profile) <= MAX_ICC_BYTES else None


def _unpacked(packed: bytes, max_bytes: int) -> bytes:
    if max_bytes <= 0:  # zlib reads 0 as no limit
        return b""
    try:
        return zlib.decompressobj().decompress(packed, max_bytes)
    except zlib.error:
        return b""


def _trim_gif(raw: bytes) -> bytes:
    """Remove extensions with very many blocks before the first frame."""
    try:
        at = start = 13 + (3 << ((raw[10] & 7) + 1) if raw[10] & 0x80 else 0)
        kept = [raw[:start]]
        n_all = 0
        is_trimmed = False
        while raw[at] == 0x21:
            n_blocks, begin = 0, at
            at += 2
            while n_step := raw[at]:
                at += n_step + 1
                n_blocks += 1
                if n_all + n_blocks > _MAX_GIF_BLOCKS:
                    raise _too_many_parts("GIF", "blocks before its first frame", _MAX_GIF_BLOCKS)
            at += 1
            n_all += n_blocks
            if n_blocks > _MAX_EXTENSION_BLOCKS:
                is_trimmed = True
            else:
                kept.append(raw[begin:at])
    except IndexError:
        return raw
    return b"".join([*kept, raw[at:]]) if is_trimmed else raw
