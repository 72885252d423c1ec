"""File type detection by the first bytes of a file, without parsing.

The name is shown in the detail of a rejected item. Names of images are Pillow's format names if
Pillow has one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """Broad type of a file."""

    IMAGE = "image"
    ARCHIVE = "archive"
    OTHER = "other"
    UNKNOWN = "unknown"


class Sniffed(NamedTuple):
    """Broad type of a file, and a readable name of its format."""

    kind: Kind
    name: str


UNKNOWN: Final = Sniffed(Kind.UNKNOWN, "unknown")

# (offset, magic, kind, name); the first match wins, so longer magic values come first.
_MAGIC: Final[tuple[tuple[int, bytes, Kind, str], ...]] = (
    (0, b"\xff\xd8\xff", Kind.IMAGE, "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", Kind.IMAGE, "PNG"),
    (0, b"GIF87a", Kind.IMAGE, "GIF"),
    (0, b"GIF89a", Kind.IMAGE, "GIF"),
    (0, b"II*\x00", Kind.IMAGE, "TIFF"),
    (0, b"MM\x00*", Kind.IMAGE, "TIFF"),
    (0, b"II+\x00", Kind.IMAGE, "TIFF"),
    (0, b"MM\x00+", Kind.IMAGE, "TIFF"),
    (0, b"8BPS", Kind.IMAGE, "PSD"),
    (0, b"\xff\x0a", Kind.IMAGE, "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", Kind.IMAGE, "JPEG XL"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", Kind.IMAGE, "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", Kind.IMAGE, "JPEG2000"),
    (0, b"\x00\x00\x01\x00", Kind.IMAGE, "ICO"),
    (0, b"icns", Kind.IMAGE, "ICNS"),
    (0, b"DDS ", Kind.IMAGE, "DDS"),
    (0, b"qoif", Kind.IMAGE, "QOI"),
    (0, b"farbfeld", Kind.IMAGE, "farbfeld"),
    (0, b"\x76\x2f\x31\x01", Kind.IMAGE, "OpenEXR"),
    (0, b"#?RADIANCE", Kind.IMAGE, "Radiance HDR"),
    (0, b"gimp xcf", Kind.IMAGE, "XCF"),
    (0, b"BPG\xfb", Kind.IMAGE, "BPG"),
    (0, b"\x01\xda", Kind.IMAGE, "SGI"),
    (0, b"\xd7\xcd\xc6\x9a", Kind.IMAGE, "WMF"),
    (0, b"IIRO", Kind.IMAGE, "RAW photo"),
    (0, b"FUJIFILMCCD-RAW", Kind.IMAGE, "RAW photo"),
    (0, b"%!PS-Adobe", Kind.IMAGE, "EPS"),
    (0, b"\xc5\xd0\xd3\xc6", Kind.IMAGE, "EPS"),
    (0, b"/* XPM */", Kind.IMAGE, "XPM"),
    (0, b"%PDF-", Kind.IMAGE, "PDF"),
    (0, b"SIMPLE  =", Kind.IMAGE, "FITS"),
    (0, b"PK\x03\x04", Kind.ARCHIVE, "ZIP"),
    (0, b"PK\x05\x06", Kind.ARCHIVE, "ZIP"),
    (257, b"ustar", Kind.ARCHIVE, "TAR"),
    (0, b"\x1f\x8b", Kind.ARCHIVE, "gzip"),
    (0, b"BZh", Kind.ARCHIVE, "bzip2"),
    (0, b"\xfd7zXZ\x00", Kind.ARCHIVE, "xz"),
    (0, b"\x28\xb5\x2f\xfd", Kind.ARCHIVE, "Zstandard"),
    (0, b"7z\xbc\xaf\x27\x1c", Kind.ARCHIVE, "7-Zip"),
    (0, b"Rar!\x1a\x07", Kind.ARCHIVE, "RAR"),
    (0, b"PAR1", Kind.ARCHIVE, "Parquet"),
    (0, b"ARROW1", Kind.OTHER, "Arrow"),
    (0, b"\x1aE\xdf\xa3", Kind.OTHER, "Matroska or WebM video"),
    (0, b"OggS", Kind.OTHER, "Ogg media"),
    (0, b"ID3", Kind.OTHER, "MP3 audio"),
    (0, b"fLaC", Kind.OTHER, "FLAC audio"),
    (0, b"SQLite format 3\x00", Kind.OTHER, "SQLite database"),
    (0, b"\x7fELF", Kind.OTHER, "ELF program"),
    (0, b"MZ", Kind.OTHER, "Windows program"),
)

_RIFF: Final[dict[bytes, Sniffed]] = {
    b"WEBP": Sniffed(Kind.IMAGE, "WEBP"),
    b"AVI ": Sniffed(Kind.OTHER, "AVI video"),
    b"WAVE": Sniffed(Kind.OTHER, "WAV audio"),
}
_HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_TEXT_BYTES: Final = bytes({7, 8, 9, 10, 12, 13, 27, *range(0x20, 0x7F), *range(0x80, 0x100)})


def sniff(raw: bytes) -> Sniffed:
    """Return type and format of a file, judged by at most its first 1,024 bytes."""
    for offset, magic, kind, name in _MAGIC:
        if raw.startswith(magic, offset):
            return Sniffed(kind, name)
    if raw.startswith(b"RIFF"):
        return _RIFF.get(raw[8:12], Sniffed(Kind.OTHER, "RIFF file"))
    if raw[4:8] == b"ftyp":
        return _sniff_iso_media(raw)
    # The header of a bitmap has zero or high bytes; a text that starts with "BM" has neither.
    if raw.startswith(b"BM") and (b"\0" in raw[:18] or not raw[:18].isascii()):
        return Sniffed(Kind.IMAGE, "BMP")
    if raw[:1] == b"P" and raw[1:2] in b"123456fF" and raw[2:3].isspace() and len(raw) > 2:
        return Sniffed(Kind.IMAGE, "PPM")
    return _sniff_text(raw[:1024])


def _sniff_iso_media(raw: bytes) -> Sniffed:
    """Return AVIF, HEIC, a RAW photo or video, by the brands in the `ftyp` box."""
    n_box = min(int.from_bytes(raw[:4], "big"), 256, len(raw))
    brands = {raw[8:12]} | {raw[i : i + 4] for i in range(16, n_box - 3, 4)}
    if brands & {b"avif", b"avis"}:
        return Sniffed(Kind.IMAGE, "AVIF")
    if brands & _HEIF_BRANDS:
        return Sniffed(Kind.IMAGE, "HEIC")
    if b"crx " in brands:
        return Sniffed(Kind.IMAGE, "RAW photo")
    return Sniffed(Kind.OTHER, "MP4 or QuickTime video")


def _sniff_text(head: bytes) -> Sniffed:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    low = start[:512].lower()
    if low.startswith(b"<svg") or (
        low.startswith((b"<?xml", b"<!--", b"<!doc")) and b"<svg" in low
    ):
        return Sniffed(Kind.IMAGE, "SVG")
    if low.startswith((b"<!doctype html", b"<html")):
        return Sniffed(Kind.OTHER, "an HTML page")
    if head and not head.translate(None, _TEXT_BYTES):
        return Sniffed(Kind.OTHER, "text")
    return UNKNOWN
