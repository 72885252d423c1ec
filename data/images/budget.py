"""Cost limits of decoding one image, checked before decoding, identical on every machine.

At the default `max_pixels` an image takes at most about 1 GiB of memory and 3 s of one core. The
limits follow from measured costs and depend on counts only, not on a clock.
"""

from __future__ import annotations

from typing import Final

from ..errors import UnreadableImage
from ..vocabulary import Reason
from .byte_marks import n_marks
from .trimming import count_scans

# Pixels allowed in a file of any size: a blank image needs few bytes.
_BASE_PIXELS: Final = 16_000_000
# Further pixels per byte of the file. A JPEG needs at least one bit for 64 pixels; other formats
# can need less, but only for blank areas that need no moderation. PNG has no entry: deflate
# expands a byte to at most 1,032 bytes, and every pixel must be in the data.
_PIXELS_PER_BYTE: Final = {"JPEG": 512, "GIF": 1_000, "WEBP": 600, "AVIF": 600}
# Pillow decodes the run lengths of bitmaps in Python, pixel by pixel.
_BASE_PACKED_BMP_PIXELS: Final = 4_000_000
_PACKED_BMP_PIXELS_PER_BYTE: Final = 10
# The WebP decoder keeps three copies in memory, others two.
_WEBP_WEIGHT: Final = 1.5
# A progressive JPEG may have thousands of tiny scans, and each takes a pass over the whole image.
# So scans times pixels is limited to this multiple of `max_pixels`, and lower for small files.
_MAX_SCANS_AT_MAX_PIXELS: Final = 20
_BASE_SCANNED_PIXELS: Final = 200_000_000
_SCANNED_PIXELS_PER_BYTE: Final = 2_000
_SCAN_MARK: Final = b"\xff\xda"


def refuse_over_budget(
    raw: bytes,
    format_name: str,
    size_px: tuple[int, int],
    *,
    max_pixels: int,
) -> None:
    """Refuse an image that is too expensive to decode.

    Args:
        raw: Encoded image.
        format_name: Pillow's format name.
        size_px: Width and height from the header.
        max_pixels: Largest allowed number of pixels in any file.

    Raises:
        UnreadableImage: The image has too many pixels, also for its format or file size, or too
            many scans.
    """
    width_px, height_px = size_px
    n_pixels = width_px * height_px
    shown = f"{width_px}x{height_px} px = {n_pixels} pixels"
    if n_pixels > max_pixels:
        raise UnreadableImage(Reason.TOO_MANY_PIXELS, f"{shown}; allowed: {max_pixels}")
    if format_name == "WEBP" and n_pixels * _WEBP_WEIGHT > max_pixels:
        allowed = int(max_pixels / _WEBP_WEIGHT)
        raise UnreadableImage(
            Reason.TOO_MANY_PIXELS,
            f"{shown} of WEBP, which takes 1.5 times the memory of other formats; allowed:"
            f" {allowed} (in other formats, allowed: {max_pixels})",
        )
    of_file = _pixels_of_file(raw, format_name)
    if of_file is not None and n_pixels > of_file:
        raise UnreadableImage(
            Reason.TOO_MANY_PIXELS,
            f"{shown} in a file of {len(raw)} bytes; allowed at this file size: {of_file}"
            f" (in any file, allowed: {max_pixels})",
        )
    # The marker's two bytes may also occur elsewhere: this count is an upper bound. The walk over
    # the segments is exact.
    most = min(
        _MAX_SCANS_AT_MAX_PIXELS * max_pixels,
        _BASE_SCANNED_PIXELS + _SCANNED_PIXELS_PER_BYTE * len(raw),
    )
    if format_name == "JPEG" and n_marks(raw, _SCAN_MARK) * n_pixels > most:
        n_scans, _ = count_scans(raw)
        if n_scans * n_pixels > most:
            raise UnreadableImage(
                Reason.TOO_MANY_PIXELS,
                f"{n_scans} scans of {n_pixels} pixels each; allowed in total: {most}"
                f" (in one scan, allowed: {max_pixels})",
            )


def _is_packed_bmp(raw: bytes) -> bool:
    """Return whether the pixels of a bitmap are run-length encoded."""
    return (
        raw[:2] == b"BM"
        and int.from_bytes(raw[14:18], "little") >= 40
        and int.from_bytes(raw[30:34], "little") in {1, 2}
    )


def _pixels_of_file(raw: bytes, format_name: str) -> int | None:
    """Return the allowed number of pixels for the file's size; None for no such limit."""
    if format_name == "BMP" and _is_packed_bmp(raw):
        return _BASE_PACKED_BMP_PIXELS + _PACKED_BMP_PIXELS_PER_BYTE * len(raw)
    per_byte = _PIXELS_PER_BYTE.get(format_name)
    return None if per_byte is None else _BASE_PIXELS + per_byte * len(raw)
