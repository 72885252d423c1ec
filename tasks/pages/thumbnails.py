"""Inline thumbnails of images, each with a veil that stands for it until a reader opens it.

The veil is the image reduced to at most 12 x 12 grey pixels: it shows light and dark and no more,
so that disturbing content stays hidden even in a viewer that drops all styles. Both are encoded
anew from pixels, without the metadata of the image.
"""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from PIL import Image

from ...data.errors import StoreError, UnreadableImage
from ...data.images.decode import DISPLAY, decode_rgb
from ...data.store.lake import Lake

_VEIL_PX: Final = 12
_QUALITIES: Final = (70, 50, 30, 15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """An image as two WebP `data:` URLs.

    Attributes:
        sharp: URL of the thumbnail; "" if the page must have the veil only.
        veil: URL of the veil, at most 12 x 12 px.
        width_px: Width of the thumbnail.
        height_px: Height of the thumbnail.
    """

    sharp: str
    veil: str
    width_px: int
    height_px: int


def thumbnail(raw: bytes, *, max_px: int, max_bytes: int) -> Thumbnail | None:
    """Return the thumbnail of an image, upright and over white; None if it cannot be decoded.

    Args:
        raw: Encoded bytes of the image.
        max_px: Longest side of the thumbnail.
        max_bytes: Size of the encoded thumbnail to aim at; the lowest WebP quality is taken even
            if it is larger.
    """
    try:
        image = decode_rgb(raw, DISPLAY)
    except UnreadableImage:
        return None
    image.thumbnail((max_px, max_px), Image.Resampling.BICUBIC, reducing_gap=2.0)
    veil = image.convert("L")
    veil.thumbnail((_VEIL_PX, _VEIL_PX), Image.Resampling.BOX)
    encoded = b""
    for quality in _QUALITIES:
        encoded = _webp(image, quality)
        if len(encoded) <= max_bytes:
            break
    return Thumbnail(
        sharp=_address(encoded),
        veil=_address(_webp(veil, 40)),
        width_px=image.width,
        height_px=image.height,
    )


def thumbnails(
    lake: Lake, image_ids: Sequence[str], *, max_px: int, max_bytes: int
) -> dict[str, Thumbnail]:
    """Return thumbnails by image_id, without those images that cannot be read or decoded.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images; repeated ids are read once.
        max_px: Longest side of a thumbnail.
        max_bytes: Size of an encoded thumbnail to aim at.
    """
    ids = list(dict.fromkeys(image_ids))
    made: dict[str, Thumbnail | None] = {}
    try:
        with ThreadPoolExecutor(2) as pool:
            # Reading holds one row group; Pillow decodes outside the interpreter lock.
            drawn = {
                image_id: pool.submit(thumbnail, raw, max_px=max_px, max_bytes=max_bytes)
                for image_id, raw in lake.images(ids)
            }
        made |= {image_id: future.result() for image_id, future in drawn.items()}
    except StoreError:
        # A damaged shard costs its own thumbnails only, not the whole report.
        for image_id in [image_id for image_id in ids if image_id not in made]:
            with contextlib.suppress(StoreError):
                raw = lake.image(image_id)
                made[image_id] = thumbnail(raw, max_px=max_px, max_bytes=max_bytes)
    return {image_id: small for image_id, small in made.items() if small is not None}


def _webp(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()


def _address(encoded: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(encoded).decode("ascii")
