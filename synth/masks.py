"""Masks for inpainting, drawn by rule or given: which part of a picture is painted anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..data.errors import SynthError
from .given import given_picture

Mask = NDArray[np.bool_]


def draw_mask(rule: str, width_px: int, height_px: int, seed: int) -> Mask:
    """The mask of a rule, shape (H, W), True where the picture is painted anew.

    Args:
        rule: `empty` (nothing: what is left is the autoencoder's trace), `full`, `centre` (the
            middle quarter of the area), `half` (left, right, top or bottom, by seed), `box`
            (one of a tenth to two fifths of the area) or `strokes` (five wide lines).
        width_px: Of the picture.
        height_px: Of the picture.
        seed: Places what the rule leaves open.

    Raises:
        SynthError: No such rule.
    """
    if rule not in RULES:
        raise SynthError(
            f"no mask rule is named {rule!r}; allowed: {', '.join(RULES)}, or a folder of masks"
        )
    return RULES[rule](width_px, height_px, np.random.default_rng(seed))


def given_mask(folder: Path, image_id: str, size_px: tuple[int, int]) -> Mask:
    """The mask `IMAGE_ID.png` of a folder: painted anew where it is light.

    Raises:
        SynthError: As `given_picture`.
    """
    image = given_picture(folder, image_id, size_px, what="mask")
    return np.asarray(image.convert("L")) >= 128


def _empty(width: int, height: int, _rng: np.random.Generator) -> Mask:
    return np.zeros((height, width), bool)


def _full(width: int, height: int, _rng: np.random.Generator) -> Mask:
    return np.ones((height, width), bool)


def _centre(width: int, height: int, _rng: np.random.Generator) -> Mask:
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask


def _half(width: int, height: int, rng: np.random.Generator) -> Mask:
    mask = np.zeros((height, width), bool)
    side = int(rng.integers(4))
    if side < 2:
        mask[:, : width // 2] = True
    else:
        mask[: height // 2] = True
    return ~mask if side % 2 else mask


def _box(width: int, height: int, rng: np.random.Generator) -> Mask:
    share = rng.uniform(0.1, 0.4)
    aspect = rng.uniform(0.6, 1.6)
    box_width = int(np.clip(round(width * (share * aspect) ** 0.5), 1, width))
    box_height = int(np.clip(round(height * (share / aspect) ** 0.5), 1, height))
    left = int(rng.integers(width - box_width + 1))
    top = int(rng.integers(height - box_height + 1))
    mask = np.zeros((height, width), bool)
    mask[top : top + box_height, left : left + box_width] = True
    return mask


def _strokes(width: int, height: int, rng: np.random.Generator) -> Mask:
    canvas = Image.new("1", (width, height))
    pen = ImageDraw.Draw(canvas)
    for _ in range(5):
        ends = rng.uniform(0, 1, 4) * (width, height, width, height)
        pen.line([float(end) for end in ends], fill=1, width=max(min(width, height) // 12, 1))
    return np.asarray(canvas, dtype=bool)


RULES: Final[dict[str, Callable[[int, int, np.random.Generator], Mask]]] = {
    "empty": _empty,
    "full": _full,
    "centre": _centre,
    "half": _half,
    "box": _box,
    "strokes": _strokes,
}
