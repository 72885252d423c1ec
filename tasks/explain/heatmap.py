"""Heatmap of an explanation: the scored square and two maps over it."""

from __future__ import annotations

import io
import textwrap
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .attribution import Map, stretched
from .explain import CAVEAT, Explanation

PANEL_PX: Final = 384
MARGIN_PX: Final = 24
HEAD_PX: Final = 84
FOOT_PX: Final = 96
PAPER, INK, PALE = (255, 255, 255), (15, 23, 42), (100, 116, 139)

# matplotlib's inferno at ten even steps; its lightness rises evenly, also for colour-blind users.
_INFERNO: Final = np.array(
    [
        (0, 0, 4),
        (27, 12, 65),
        (74, 12, 107),
        (120, 28, 109),
        (165, 44, 96),
        (207, 68, 70),
        (237, 105, 37),
        (251, 155, 6),
        (247, 209, 61),
        (252, 255, 164),
    ],
    dtype=np.float64,
)


def draw_heatmap(explanation: Explanation) -> bytes:
    """Draw a PNG with three panels, the score, a colour scale and the maps' limits."""
    width = 3 * PANEL_PX + 4 * MARGIN_PX
    canvas = Image.new("RGB", (width, HEAD_PX + PANEL_PX + FOOT_PX), PAPER)
    draw = ImageDraw.Draw(canvas)
    title = (
        f"P(AI-generated) {explanation.prob_fake:.3f}   logit {explanation.logit:+.3f}"
        f"   {explanation.detector_id[:60]}"
    )
    draw.text((MARGIN_PX, 16), title, fill=INK, font=_font(20))
    square = Image.fromarray(explanation.square_u8_hwc).resize(
        (PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS
    )
    panels = (
        ("scored square", square),
        ("attention rollout", _over(square, explanation.rollout)),
        (
            f"gradient-weighted attention, for '{explanation.towards}'",
            _over(square, explanation.attribution),
        ),
    )
    for index, (name, panel) in enumerate(panels):
        left = MARGIN_PX + index * (PANEL_PX + MARGIN_PX)
        draw.text((left, HEAD_PX - 26), name, fill=INK, font=_font(16))
        canvas.paste(panel, (left, HEAD_PX))
    _draw_scale(canvas, draw, HEAD_PX + PANEL_PX + 14)
    for line, text in enumerate(textwrap.wrap(CAVEAT, 110)):
        place = (MARGIN_PX, HEAD_PX + PANEL_PX + 42 + 22 * line)
        draw.text(place, text, fill=PALE, font=_font(15))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def coloured(values: Map) -> NDArray[np.uint8]:
    """Map values in [0, 1] to RGB colours, shape (..., 3)."""
    steps = np.linspace(0, 1, len(_INFERNO))
    channels = [np.interp(values, steps, _INFERNO[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _over(square: Image.Image, values: Map) -> Image.Image:
    """Draw the map over a grey copy of the square; hard edges show the map's resolution."""
    even = stretched(values)
    size = (PANEL_PX, PANEL_PX)
    colours = Image.fromarray(coloured(even)).resize(size, Image.Resampling.NEAREST)
    grey = square.convert("L").convert("RGB")
    # Low values show the image, high values the colour.
    weight = Image.fromarray((255 * (0.25 + 0.6 * even)).astype(np.uint8))
    return Image.composite(colours, grey, weight.resize(size, Image.Resampling.NEAREST))


def _draw_scale(canvas: Image.Image, draw: ImageDraw.ImageDraw, top: int) -> None:
    left, wide, high = 2 * MARGIN_PX + PANEL_PX, 180, 12
    ramp = coloured(np.linspace(0, 1, wide)[None, :].repeat(high, 0))
    canvas.paste(Image.fromarray(ramp), (left + 44, top))
    draw.text((left, top - 3), "least", fill=PALE, font=_font(14))
    text = "most, per map"
    draw.text((left + 44 + wide + 8, top - 3), text, fill=PALE, font=_font(14))


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
