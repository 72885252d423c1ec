"""Small pictures for people: inline, and veiled until somebody asks to see them.

A veil is a picture of some twelve pixels: it tells light from dark and no more, so what a
moderator must look at is hidden even where a viewer drops every style.
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
    """Two `data:` addresses of one picture, and the size of the sharp one in pixels."""

    sharp: str
    veil: str
    width_px: int
    height_px: int


def thumbnail(raw: bytes, *, max_px: int, max_bytes: int) -> Thumbnail | None:
    """Draw a picture within `max_px` squared and about `max_bytes` of WebP; None if undecodable.

    Decoded for people (turned upright, transparency over white). Where the best quality is
    too large, a lower one is taken; the lowest stands even if it is still too large.
    """
    try:
        picture = decode_rgb(raw, DISPLAY)
    except UnreadableImage:
        return None
    picture.thumbnail((max_px, max_px), Image.Resampling.BICUBIC, reducing_gap=2.0)
    veil = picture.copy()
    veil.thumbnail((_VEIL_PX, _VEIL_PX), Image.Resampling.BOX)
    encoded = b""
    for quality in _QUALITIES:
        encoded = _webp(picture, quality)
        if len(encoded) <= max_bytes:
            break
    return Thumbnail(
        sharp=_address(encoded),
        veil=_address(_webp(veil, 40)),
        width_px=picture.width,
        height_px=picture.height,
    )


def thumbnails(
    lake: Lake, image_ids: Sequence[str], *, max_px: int, max_bytes: int
) -> dict[str, Thumbnail]:
    """Return thumbnails by image id; those that cannot be read or decoded are missing from it."""
    ids = list(dict.fromkeys(image_ids))
    made: dict[str, Thumbnail | None] = {}
    try:
        with ThreadPoolExecutor(2) as pool:
            # One row group at a time is read; Pillow decodes outside the interpreter lock.
            drawn = {
                image_id: pool.submit(thumbnail, raw, max_px=max_px, max_bytes=max_bytes)
                for image_id, raw in lake.images(ids)
            }
        made |= {image_id: future.result() for image_id, future in drawn.items()}
    except StoreError:
        # A damaged shard must not cost the whole report, which may be what tells of it.
        for image_id in [image_id for image_id in ids if image_id not in made]:
            with contextlib.suppress(StoreError):
                raw = lake.image(image_id)
                made[image_id] = thumbnail(raw, max_px=max_px, max_bytes=max_bytes)
    return {image_id: small for image_id, small in made.items() if small is not None}


def _webp(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()


def _address(encoded: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(encoded).decode("ascii")
