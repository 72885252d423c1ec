"""What decoding one image may cost: counted before it is decoded, the same on every machine.

At the default `max_pixels` an image takes at most about 1 GiB of memory and 3 s of one core. The
costs below were measured; none of them needs a clock.
"""

from __future__ import annotations

from typing import Final

from ..errors import UnreadableImage
from ..schema import Reason
from .trimming import count_scans

# Every file may decode to so many pixels, however small it is: a blank sheet needs few bytes.
_BASE_PIXELS: Final = 16_000_000
# Beyond that, what its bytes can describe. No JPEG codes 64 pixels in less than one bit; the others
# can, and blank surfaces of that size are not images that anybody has to judge. PNG is not
# here: its data must be there for every pixel, at most 1,032 bytes for each of the file.
_PIXELS_PER_BYTE: Final = {"JPEG": 512, "GIF": 1_000, "WEBP": 600, "AVIF": 600}
# Pillow unpacks run lengths of bitmaps in Python, a pixel at a time.
_BASE_PACKED_BMP_PIXELS: Final = 4_000_000
_PACKED_BMP_PIXELS_PER_BYTE: Final = 10
# Its decoder holds three copies where others hold two.
_WEBP_WEIGHT: Final = 1.5
# A progressive JPEG may hold thousands of tiny scans, each of which walks the whole image:
# the product of scans and pixels is held under this many times `max_pixels`, and lower in files
# too small to hold so many scans of anything.
_MAX_SCANS_AT_MAX_PIXELS: Final = 20
_BASE_SCANNED_PIXELS: Final = 200_000_000
_SCANNED_PIXELS_PER_BYTE: Final = 2_000


def refuse_over_budget(
    raw: bytes,
    format_name: str,
    size_px: tuple[int, int],
    *,
    max_pixels: int,
) -> None:
    """Refuse an image whose decoding would cost too much.

    Raises:
        UnreadableImage: It has too many pixels, for its format or its file, or too many scans.
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
            f"{shown} of WEBP, which takes half as much memory again; allowed: {allowed}"
            f" (of other formats allowed: {max_pixels})",
        )
    of_file = _pixels_of_file(raw, format_name)
    if of_file is not None and n_pixels > of_file:
        raise UnreadableImage(
            Reason.TOO_MANY_PIXELS,
            f"{shown} in a file of {len(raw)} bytes; allowed in so small a file: {of_file}"
            f" (in any, allowed: {max_pixels})",
        )
    # Two bytes may occur anywhere, so the count of them is never too low; the walk is exact.
    most = min(
        _MAX_SCANS_AT_MAX_PIXELS * max_pixels,
        _BASE_SCANNED_PIXELS + _SCANNED_PIXELS_PER_BYTE * len(raw),
    )
    if format_name == "JPEG" and raw.count(b"\xff\xda") * n_pixels > most:
        n_scans, _ = count_scans(raw)
        if n_scans * n_pixels > most:
            raise UnreadableImage(
                Reason.TOO_MANY_PIXELS,
                f"{n_scans} scans of {n_pixels} pixels each; allowed together: {most}"
                f" (in one scan, allowed: {max_pixels})",
            )


def _is_packed_bmp(raw: bytes) -> bool:
    """Return whether a bitmap's pixels are coded as run lengths."""
    return (
        raw[:2] == b"BM"
        and int.from_bytes(raw[14:18], "little") >= 40
        and int.from_bytes(raw[30:34], "little") in {1, 2}
    )


def _pixels_of_file(raw: bytes, format_name: str) -> int | None:
    """Return how many pixels a file of that size may have; None for as many as any."""
    if format_name == "BMP" and _is_packed_bmp(raw):
        return _BASE_PACKED_BMP_PIXELS + _PACKED_BMP_PIXELS_PER_BYTE * len(raw)
    per_byte = _PIXELS_PER_BYTE.get(format_name)
    return None if per_byte is None else _BASE_PIXELS + per_byte * len(raw)
