"""Renditions: images encoded anew for display, at a bounded size, whatever the stored bytes are.

A page never serves stored bytes: a browser may read them as another type, or decode them with
other libraries than those that ingest has tried.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

from ...data.images.decode import DISPLAY, to_rgb
from ...data.images.limits import DEFAULT_LIMITS, ImageLimits, opened

MEDIA_TYPE: Final = "image/jpeg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """Size and quality of renditions.

    Attributes:
        max_px: Longest side; smaller images keep their size.
        quality: Quality of the JPEG encoding, 1 to 95.
    """

    max_px: int
    quality: int


# Sides of a thumbnail, of a large window, and of a zoomed image.
SMALL: Final = Rendition(max_px=320, quality=80)
VIEW: Final = Rendition(max_px=1600, quality=92)
ZOOM: Final = Rendition(max_px=4096, quality=94)


def render_image(
    raw: bytes, rendition: Rendition, *, limits: ImageLimits = DEFAULT_LIMITS
) -> bytes:
    """Return an image as JPEG: upright, in sRGB, over white, the first frame, without metadata.

    Args:
        raw: Encoded bytes of the image.
        rendition: Size and quality.
        limits: Size and memory limits of decoding.

    Raises:
        UnreadableImage: The bytes cannot be decoded within `limits`.
    """
    with opened(raw, limits) as image:
        # A JPEG of 100 megapixels is decoded at an eighth of its size where that is enough.
        image.draft(None, (rendition.max_px, rendition.max_px))
        image.load()
        if image.mode in {"RGB", "L"} and "transparency" not in image.info:
            # Conversions of colours copy the image, which takes 300 MB per 100 megapixels.
            _shrink(image, rendition)
        rgb = to_rgb(image, DISPLAY)
        _shrink(rgb, rendition)
        out = io.BytesIO()
        # Chroma is kept in full: artefacts of colours are what a reviewer looks for.
        rgb.save(out, "JPEG", quality=rendition.quality, subsampling=0)
    return out.getvalue()


def _shrink(image: Image.Image, rendition: Rendition) -> None:
    size = (rendition.max_px, rendition.max_px)
    image.thumbnail(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
