"""Map of the tiles' scores over an image, with the highest tile and the centre square marked."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.special import expit

from ..views import View
from .heatmap import coloured

WIDEST_PX: Final = 1000
HEAD_PX: Final = 56
INK, PAPER, OUTLINE = (15, 23, 42), (255, 255, 255), (220, 38, 38)


def draw_views(
    picture: Image.Image,
    views: list[View],
    *,
    title: str,
    centre_px: tuple[float, float, float, float],
) -> bytes:
    """Draw a PNG of an image with its tiles' scores over it.

    Each pixel is coloured by the mean probability of the tiles that cover it. The highest tile
    has an outline, the centre square a dotted one.

    Args:
        picture: RGB image.
        views: Views of the image with their logits.
        title: Heading of the drawing.
        centre_px: Left, top, right and bottom of the centre square in the image.
    """
    scale = min(1.0, WIDEST_PX / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    scored = [view for view in views if view.tile is not None and view.logit is not None]
    total = np.zeros(size[::-1])
    count = np.zeros(size[::-1])
    for view in scored:
        left, top, right, bottom = _box(view, scale)
        total[top:bottom, left:right] += _prob(view)
        count[top:bottom, left:right] += 1
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    veil = Image.fromarray(coloured(mean))
    weight = Image.fromarray(np.where(count > 0, 110, 0).astype(np.uint8))
    shown = Image.composite(veil, small.convert("L").convert("RGB"), weight)
    canvas = Image.new("RGB", (max(size[0], 560), size[1] + HEAD_PX), PAPER)
    canvas.paste(shown, (0, HEAD_PX))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(16)
    draw.text((10, 8), title, fill=INK, font=font)
    note = "dotted: centre square, which is always scored; red: tile with the highest score"
    draw.text((10, 30), note, fill=INK, font=ImageFont.load_default(13))
    _dotted(draw, tuple(round(edge * scale) for edge in centre_px))
    if scored:
        highest = max(scored, key=lambda view: view.logit or 0.0)
        left, top, right, bottom = _box(highest, scale)
        box = (left, top + HEAD_PX, right - 1, bottom - 1 + HEAD_PX)
        draw.rectangle(box, outline=OUTLINE, width=3)
        draw.text((left + 8, top + HEAD_PX + 6), f"{_prob(highest):.3f}", fill=PAPER, font=font)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def _prob(view: View) -> float:
    return float(expit(view.logit or 0.0))


def _box(view: View, scale: float) -> tuple[int, int, int, int]:
    tile = view.tile
    assert tile is not None  # noqa: S101 - callers pass scored views
    edges = (tile.left_px, tile.top_px, tile.left_px + tile.side_px, tile.top_px + tile.side_px)
    left, top, right, bottom = (round(edge * scale) for edge in edges)
    return left, top, right, bottom


def _dotted(draw: ImageDraw.ImageDraw, box: tuple[int, ...]) -> None:
    left, top, right, bottom = box
    for x in range(left, right, 8):
        for y in (top, bottom):
            draw.line((x, y + HEAD_PX, min(x + 4, right), y + HEAD_PX), fill=PAPER, width=2)
    for y in range(top, bottom, 8):
        for x in (left, right):
            draw.line((x, y + HEAD_PX, x, min(y + 4, bottom) + HEAD_PX), fill=PAPER, width=2)
