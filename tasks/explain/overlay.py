"""Map of an explanation as a transparent layer over the whole image as people see it."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from ...data.images.decode import orientation_of, turned
from ...data.images.limits import DEFAULT_LIMITS, ImageLimits, opened
from ..detector.inputs.profiles import Profile
from .attribution import stretched
from .explain import Explanation
from .heatmap import coloured

_MAX_PX: Final = 768
_QUARTER_TURNS: Final = (5, 6, 7, 8)


def draw_overlay(
    raw: bytes, explanation: Explanation, profile: Profile, *, limits: ImageLimits = DEFAULT_LIMITS
) -> bytes:
    """Draw the attribution as a PNG with the aspect of the upright image, 768 px at most.

    The frame shows the scored square; outside of it the layer is clear.

    Args:
        raw: Encoded bytes of the image.
        explanation: Explanation of the image's score.
        profile: Preprocessing profile of the explanation.
        limits: Size limits of the image.

    Raises:
        UnreadableImage: The header of the image cannot be read within `limits`.
    """
    with opened(raw, limits) as image:
        orientation = orientation_of(image)
        width_px, height_px = image.size
    if profile.decode.turns and orientation in _QUARTER_TURNS:
        width_px, height_px = height_px, width_px
    scale = min(1.0, _MAX_PX / max(width_px, height_px))
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    left, top, right, bottom = (round(edge * scale) for edge in explanation.square_px)
    even = stretched(explanation.attribution)
    rgba = np.dstack([coloured(even), (255 * (0.15 + 0.6 * even)).astype(np.uint8)])
    square = Image.fromarray(rgba, "RGBA").resize(
        (max(1, right - left), max(1, bottom - top)), Image.Resampling.NEAREST
    )
    layer = Image.new("RGBA", size)
    layer.paste(square, (left, top))
    draw = ImageDraw.Draw(layer)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=(0, 0, 0, 255), width=3)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=(255, 255, 255, 255), width=1)
    if not profile.decode.turns:
        layer = turned(layer, orientation)
    out = io.BytesIO()
    layer.save(out, "PNG", compress_level=3)
    return out.getvalue()
