"""Captions by rule: brightness, colour and texture of an image.

The words are measured on pixels, so that the rule that writes the training captions also checks
whether a generated image follows its prompt.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BRIGHTNESS: Final = ("dark", "bright")
COLOURS: Final = ("grey", "orange", "green", "blue")
TEXTURES: Final = ("smooth", "detailed")
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "brightness": BRIGHTNESS,
    "colour": COLOURS,
    "texture": TEXTURES,
}

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_GREY_BELOW: Final = 0.09
# First hue of each colour in degrees; orange runs from 290 through 0 to 70.
_GREEN_FROM, _BLUE_FROM, _ORANGE_FROM = 70.0, 165.0, 290.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The measures behind the words of a caption."""

    luma: float
    """Mean luma in [0, 1]."""
    roughness: float
    """Mean absolute difference of luma between neighbouring pixels, in [0, 1]."""
    colour: str
    """Colour of the mean pixel, one of `COLOURS`."""


def measure(rgb_u8_hwc: NDArray[np.uint8]) -> Measures:
    """Measure an image.

    Args:
        rgb_u8_hwc: Image, RGB, shape (H, W, 3).
    """
    rgb = rgb_u8_hwc.astype(np.float32) / 255
    luma = rgb @ _LUMA
    steps = np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean()
    return Measures(
        luma=float(luma.mean()), roughness=float(steps / 2), colour=_colour(rgb.mean(axis=(0, 1)))
    )


def words(measures: Measures, *, luma_at: float, roughness_at: float) -> tuple[str, str, str]:
    """Return the words for brightness, colour and texture.

    Args:
        measures: Measures of the image.
        luma_at: Smallest luma of a bright image, the median of the photos.
        roughness_at: Smallest roughness of a detailed image, the median of the photos.
    """
    return (
        BRIGHTNESS[measures.luma >= luma_at],
        measures.colour,
        TEXTURES[measures.roughness >= roughness_at],
    )


def caption(chosen: tuple[str, ...]) -> str:
    """Join words to a prompt such as `a dark blue smooth photo`."""
    return " ".join(("a", *chosen, "photo"))


def combinations() -> list[tuple[str, str, str]]:
    """Return every combination of brightness, colour and texture."""
    return list(itertools.product(BRIGHTNESS, COLOURS, TEXTURES))


def vocabulary() -> list[str]:
    """Return all captions."""
    return [caption(row) for row in combinations()]


def _colour(mean_rgb: NDArray[np.float32]) -> str:
    red, green, blue = (float(value) for value in mean_rgb)
    top, spread = max(mean_rgb), float(max(mean_rgb) - min(mean_rgb))
    if spread < _GREY_BELOW:
        return "grey"
    if top == red:
        hue = 60 * ((green - blue) / spread) % 360
    elif top == green:
        hue = 60 * ((blue - red) / spread) + 120
    else:
        hue = 60 * ((red - green) / spread) + 240
    if _GREEN_FROM <= hue < _BLUE_FROM:
        return "green"
    return "blue" if _BLUE_FROM <= hue < _ORANGE_FROM else "orange"
