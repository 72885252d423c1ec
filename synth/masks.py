"""Masks for inpainting, by rule or from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..data.errors import SynthError
from ..data.images.decode import alpha_of, in_8_bits, orientation_of, turned
from .user_images import user_image

Mask = NDArray[np.bool_]
_WHITE: Final = 255


def draw_mask(rule: str, width_px: int, height_px: int, seed: int) -> Mask:
    """Draw the mask of a rule, shape (H, W), True where the image is repainted.

    Args:
        rule: Name of the rule: `empty` (nothing, so that only the autoencoder's trace is left),
            `full`, `centre` (the central quarter of the area), `half` (left, right, top or
            bottom), `box` (10 to 40 % of the area) or `strokes` (five wide lines).
        width_px: Width of the image, in pixels.
        height_px: Height of the image, in pixels.
        seed: Seed of side, place and size.

    Raises:
        SynthError: There is no such rule.
    """
    if rule not in RULES:
        raise SynthError(
            f"no mask rule is named {rule!r}; allowed: {', '.join(RULES)}, or a folder of masks"
        )
    return RULES[rule](width_px, height_px, np.random.default_rng(seed))


def given_mask(folder: Path, image_id: str, size_px: tuple[int, int]) -> Mask:
    """Read the mask `IMAGE_ID.png` of a folder, shape (H, W), upright; see `read_mask`.

    Args:
        folder: Folder of the masks.
        image_id: Id of the image that the mask belongs to.
        size_px: Width and height of that image in pixels, upright.

    Raises:
        SynthError: The mask is missing, cannot be read, has another size, or is ambiguous.
    """
    with user_image(folder, image_id, size_px, what="mask") as image:
        return read_mask(image, f"{image_id}.png")


def read_mask(image: Image.Image, name: str) -> Mask:
    """Convert an image to a mask, upright, True where it is light.

    A mask is grey, opaque and has one frame of 1, 8 or 16 bits: black where the image stays, white
    where it is repainted. Other greys, as at soft edges, count as the nearer of the two. Labels of
    0 and 1 are also accepted. Ambiguous masks are refused: a single value other than black and
    white, no light or no dark part, colours, transparency.

    Args:
        image: Loaded mask.
        name: Name of its file, for messages.

    Raises:
        SynthError: The mask is ambiguous.
    """
    samples, white = _grey_samples(image, name)
    least, most = int(samples.min()), int(samples.max())
    if most == 1 or (white > _WHITE and np.isin(samples, (0, _WHITE)).all()):
        light = samples > 0  # labels, or 8 bits stored in 16
    elif most == 0 or least == white or least < (white + 1) // 2 <= most:
        light = samples >= (white + 1) // 2
    else:
        raise _unclear(name, f"its values range from {least} to {most}, and white is {white}")
    shown = Image.fromarray(light.astype(np.uint8) * _WHITE)
    return np.asarray(turned(shown, orientation_of(image))) > 0


def _grey_samples(image: Image.Image, name: str) -> tuple[NDArray[np.integer[Any]], int]:
    """Return the stored grey values of a mask, and the value of white."""
    if getattr(image, "n_frames", 1) > 1:
        raise _unclear(name, "it has several frames")
    if alpha_of(in_8_bits(image)) is not None:
        raise _unclear(name, "it is partly transparent")
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.int64), 2**16 - 1
    if image.mode in {"1", "L"}:
        return np.asarray(image.convert("L")), _WHITE
    rgb = np.asarray(image.convert("RGB"))
    if (rgb != rgb[..., :1]).any():
        raise _unclear(name, "it is coloured")
    return rgb[..., 0], _WHITE


def _unclear(name: str, seen: str) -> SynthError:
    return SynthError(
        f"the mask {name} is ambiguous: {seen}; allowed: grey without transparency, white (or 1) "
        "where the image is repainted, black (0) where it stays"
    )


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
