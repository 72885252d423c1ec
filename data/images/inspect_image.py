"""Facts about one image, collected in one decode.

Every stored image has passed `inspected`: `decode_rgb` can decode it under every policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .decode import alpha_of, in_8_bits, orientation_of, over_white, turned
from .doubts import doubt_of
from .frames import count_frames
from .limits import DEFAULT_LIMITS, ImageLimits, opened
from .phash import phash
from .provenance import read_ai_declared, read_capture

__all__ = [
    "DEFAULT_LIMITS",
    "ImageFacts",
    "ImageLimits",
    "estimate_jpeg_quality",
    "inspect_image",
    "inspected",
]

# Value of `phash_of` for hashes of upright pixels, 16 bits scaled, over white. Rows with null have
# hashes of pixels as stored.
UPRIGHT_PIXELS: Final = "upright"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """Columns of the `images` table that describe an image, without its place in a shard.

    Attributes:
        image_id: SHA-256 of the encoded bytes, 64 hex digits.
        n_bytes: Size of the encoded image in bytes.
        format: Pillow's format name; "JPEG" also for MPO files, JPEGs with further images inside.
        mode: Pillow's mode after decoding, for example "RGB", "P", "CMYK", "I;16".
        width_px: Width as stored, before the EXIF orientation is applied.
        height_px: Height as stored, before the EXIF orientation is applied.
        n_frames: Number of frames, 1 for a still image; at most 10,000 for a GIF.
        phash: Perceptual hash, `imagehash.phash`, of the first frame's `upright_grey`, 16 hex
            digits.
        phash_of: Pixels that `phash` is computed from: `UPRIGHT_PIXELS`.
        jpeg_quality: Nearest IJG quality in [1, 100]; None for formats other than JPEG.
        capture: Camera make, model and software by key; None if the file names none.
        ai_declared: Declaration of AI generation in the file's metadata; None proves nothing.
        doubt: Reason why viewers may show a different image, a `vocabulary.Doubt` value; None for
            most images.
    """

    image_id: str
    n_bytes: int
    format: str
    mode: str
    width_px: int
    height_px: int
    n_frames: int
    phash: str
    phash_of: str
    jpeg_quality: int | None
    capture: dict[str, str | None] | None
    ai_declared: str | None
    doubt: str | None


def inspect_image(raw: bytes, *, limits: ImageLimits = DEFAULT_LIMITS) -> ImageFacts:
    """Decode an image in full and return its facts.

    Decoding takes most of the time. Thread-safe.

    Args:
        raw: Encoded image; any bytes.
        limits: Limits on bytes and pixels, and the accepted formats.

    Raises:
        UnreadableImage: The bytes are not an accepted image. No other error is raised.
    """
    with inspected(raw, limits=limits) as (facts, _):
        return facts


@contextmanager
def inspected(
    raw: bytes, *, limits: ImageLimits = DEFAULT_LIMITS
) -> Iterator[tuple[ImageFacts, Image.Image]]:
    """Open an image, decode it in full, and yield its facts and the decoded image.

    The `with` block must not modify the image. An exception of `limits.DAMAGE` raised in the block
    becomes an `UnreadableImage` too.

    Args:
        raw: Encoded image; any bytes.
        limits: Limits on bytes and pixels, and the accepted formats.

    Raises:
        UnreadableImage: The bytes are not an accepted image.
    """
    with opened(raw, limits) as image:
        image.load()
        if image.mode != "RGB":
            # Some modes cannot be converted to RGB; they are refused here, not in a later step.
            image.crop((0, 0, 1, 1)).convert("RGB")
        n_frames = count_frames(raw, image)
        doubt = doubt_of(raw, image, n_frames)
        facts = ImageFacts(
            image_id=hashlib.sha256(raw).hexdigest(),
            n_bytes=len(raw),
            format="JPEG" if image.format == "MPO" else str(image.format),
            mode=image.mode,
            width_px=image.width,
            height_px=image.height,
            n_frames=n_frames,
            phash=phash(upright_grey(image)),
            phash_of=UPRIGHT_PIXELS,
            jpeg_quality=estimate_jpeg_quality(image),
            capture=read_capture(image),
            ai_declared=read_ai_declared(raw, image),
            doubt=None if doubt is None else doubt.value,
        )
        yield facts, image


def upright_grey(image: Image.Image) -> Image.Image:
    """Return the input of the perceptual hash: upright 8-bit luma, composited over white."""
    shallow = in_8_bits(image)
    # Pillow has its own conversions of palettes and CMYK to grey, so opaque images skip RGB.
    seen = shallow if alpha_of(shallow) is None else over_white(shallow)
    # Turned last, with one channel instead of three.
    return turned(seen.convert("L"), orientation_of(image))


def hash_anew(raw: bytes) -> tuple[str, str]:
    """Return the perceptual hashes of an image's upright pixels and of its pixels as stored.

    Rows without `phash_of` have the second.

    Args:
        raw: Encoded image.

    Raises:
        UnreadableImage: The bytes are not an accepted image.
    """
    with opened(raw) as image:
        image.load()
        return phash(upright_grey(image)), phash(image.convert("L"))


def is_stored_as_seen(raw: bytes) -> bool:
    """Return whether an image is displayed with its pixels as stored, judged by its header.

    That is an upright, opaque image with 8 bits per sample.

    Args:
        raw: Encoded image.

    Raises:
        UnreadableImage: The bytes are not an accepted image.
    """
    with opened(raw) as image:
        is_shallow = image.mode not in {"I", "F"} and not image.mode.startswith("I;16")
        return is_shallow and orientation_of(image) == 1 and not image.has_transparency_data


# Luminance quantisation table of quality 50: ITU-T T.81, table K.1, two rows of eight per line.
_IJG_LUMA: Final = np.frombuffer(
    bytes.fromhex(
        "100b0a101828333d0c0c0e131a3a3c37"
        "0e0d1018283945380e11161d3357503e"
        "12162538446d674d182337405168715c"
        "31404e5767797865485c5f6270646763"
    ),
    dtype=np.uint8,
).astype(np.int64)


def _ijg_tables() -> NDArray[np.int64]:
    """Return the luminance tables of qualities 1 to 100, shape (100, 64)."""
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return np.clip((_IJG_LUMA * scale[:, None] + 50) // 100, 1, 255)


_TABLES: Final = _ijg_tables()


def estimate_jpeg_quality(image: Image.Image) -> int | None:
    """Return the IJG quality in [1, 100] with the nearest luminance table; None without tables.

    The value is exact for files by libjpeg. For encoders with other tables (cameras, Photoshop) it
    orders files by loss, and is not their quality setting.
    """
    tables: dict[int, list[int]] = getattr(image, "quantization", None) or {}
    luma = tables.get(0)
    if luma is None or len(luma) != 64:
        return None
    distance = np.abs(_TABLES - np.asarray(luma, dtype=np.int64)).sum(axis=1)
    return int(distance.argmin()) + 1
