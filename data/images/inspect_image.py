"""The facts of one image, gathered in one decode.

`inspect_image` is the only gate through which bytes become a stored image: what it
accepts, `decode_rgb` can decode under every policy.
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
from .provenance import read_ai_declared, read_capture

__all__ = [
    "DEFAULT_LIMITS",
    "ImageFacts",
    "ImageLimits",
    "estimate_jpeg_quality",
    "inspect_image",
    "inspected",
]

# Of `phash_of`: hashes are of upright pixels, 16 bits scaled, over white. Rows without it have
# hashes of pixels as they are stored.
UPRIGHT_PIXELS: Final = "upright"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What the `images` table keeps of an image, apart from where its bytes lie.

    Attributes:
        image_id: SHA-256 of the encoded bytes, 64 hex digits.
        n_bytes: Encoded bytes.
        format: Pillow's format name; JPEGs with further images inside (MPO) are "JPEG".
        mode: Pillow's mode as decoded, for example "RGB", "P", "CMYK", "I;16".
        width_px: Pixels as stored, before any turn.
        height_px: Pixels as stored, before any turn.
        n_frames: 1 for a still image; for a GIF at most 10,000 are counted.
        phash: `imagehash.phash` of the first frame, upright and as a person sees it
            (`upright_grey`), 16 hex digits.
        phash_of: `UPRIGHT_PIXELS`: what `phash` is the hash of.
        jpeg_quality: Nearest IJG quality in [1, 100]; None for other formats.
        capture: Keys make, model, software; None when the file names none of them.
        ai_declared: What the file itself says of a machine origin; None proves nothing.
        doubt: A `schema.Doubt` value: why people may see another image; None as a rule.
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
    """Decode an image in full and say what it is.

    About 10 ms of CPU for a JPEG of one megapixel. Safe to call from many threads.

    Raises:
        UnreadableImage: And nothing else, for any bytes whatever.
    """
    with inspected(raw, limits=limits) as (facts, _):
        return facts


@contextmanager
def inspected(
    raw: bytes, *, limits: ImageLimits = DEFAULT_LIMITS
) -> Iterator[tuple[ImageFacts, Image.Image]]:
    """Open an image that is decoded in full, with what `inspect_image` says of it.

    The block must leave the image as it is; what it raises of `limits.DAMAGE` refuses the image.

    Raises:
        UnreadableImage: For any bytes whatever; nothing else but what the block raises.
    """
    import imagehash

    with opened(raw, limits) as image:
        image.load()
        # Some modes have no way to RGB; better refused here than at every later step.
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
            phash=str(imagehash.phash(upright_grey(image))),
            phash_of=UPRIGHT_PIXELS,
            jpeg_quality=estimate_jpeg_quality(image),
            capture=read_capture(image),
            ai_declared=read_ai_declared(raw, image),
            doubt=None if doubt is None else doubt.value,
        )
        yield facts, image


def upright_grey(image: Image.Image) -> Image.Image:
    """Return what the perceptual hash is taken of: brightness, upright, 8 bits, over white."""
    shallow = in_8_bits(image)
    # Palettes and CMYK go to grey by ways of their own in Pillow: no detour where there is no need.
    seen = shallow if alpha_of(shallow) is None else over_white(shallow)
    # Turned last: one channel instead of three.
    return turned(seen.convert("L"), orientation_of(image))


def hash_anew(raw: bytes) -> tuple[str, str]:
    """Return the hash of an image's upright pixels, and that of its pixels as stored.

    The second is what rows without `phash_of` hold.

    Raises:
        UnreadableImage: The bytes are no image that can be used.
    """
    import imagehash

    with opened(raw) as image:
        image.load()
        return str(imagehash.phash(upright_grey(image))), str(imagehash.phash(image))


def is_stored_as_seen(raw: bytes) -> bool:
    """Return whether an image's pixels as stored are those that a person sees, by its header.

    Raises:
        UnreadableImage: The bytes are no image that can be used.
    """
    with opened(raw) as image:
        is_shallow = image.mode not in {"I", "F"} and not image.mode.startswith("I;16")
        return is_shallow and orientation_of(image) == 1 and not image.has_transparency_data


# ITU-T T.81, table K.1, two rows of eight per line: what quality 50 divides brightness by.
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
    """Brightness tables of the qualities 1 to 100, shape (100, 64)."""
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return np.clip((_IJG_LUMA * scale[:, None] + 50) // 100, 1, 255)


_TABLES: Final = _ijg_tables()


def estimate_jpeg_quality(image: Image.Image) -> int | None:
    """Return the IJG quality in [1, 100] whose brightness table is nearest; None without tables.

    Exact for what libjpeg wrote. Encoders with tables of their own (cameras, Photoshop)
    get the nearest, so it orders files by loss more than it tells a setting.
    """
    tables: dict[int, list[int]] = getattr(image, "quantization", None) or {}
    luma = tables.get(0)
    if luma is None or len(luma) != 64:
        return None
    distance = np.abs(_TABLES - np.asarray(luma, dtype=np.int64)).sum(axis=1)
    return int(distance.argmin()) + 1
