"""Square crops of photos, balanced over the captions, and their latents."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ...data.errors import InputError
from ..photos import read_photo
from .captions import Measures, measure, words

_MEASURED_PX = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Squares:
    """Square crops with the words of their captions."""

    rgb_u8_nhwc: NDArray[np.uint8]
    """Crops, RGB, shape (N, side, side, 3)."""
    words: tuple[tuple[str, str, str], ...]
    """Words for brightness, colour and texture of each crop."""
    luma_at: float
    """Smallest luma of a bright crop: the median of all crops."""
    roughness_at: float
    """Smallest roughness of a detailed crop: the median of all crops."""


def cut_squares(photos: Sequence[Path], *, n_each: int, side_px: int, seed: int) -> Squares:
    """Cut at most `n_each` squares per caption from random places of photos.

    Rare colours are made by permuting the channels, so that every word occurs.

    Args:
        photos: Paths of the photos.
        n_each: Largest number of squares per caption.
        side_px: Side of the squares, in pixels.
        seed: Seed of the places.

    Raises:
        InputError: There are no photos, or one cannot be decoded.
    """
    rng = np.random.default_rng(seed)
    images = [read_photo(path) for path in photos]
    if not images:
        raise InputError("there are no photos to cut squares from; give a folder of photos")
    drawn = [
        _square(images[int(rng.integers(len(images)))], side_px, rng) for _ in range(n_each * 24)
    ]
    measured = [_measured(square) for square in drawn]
    luma_at = float(np.median([measures.luma for measures in measured]))
    roughness_at = float(np.median([measures.roughness for measures in measured]))
    by_caption: dict[tuple[str, str, str], list[NDArray[np.uint8]]] = {}
    # Unchanged crops come first, so that permuted channels only fill the gaps.
    for order in [(0, 1, 2), *sorted(itertools.permutations(range(3)))[1:]]:
        for square in drawn:
            swapped = square[..., order]
            caption_words = words(_measured(swapped), luma_at=luma_at, roughness_at=roughness_at)
            kept = by_caption.setdefault(caption_words, [])
            if len(kept) < n_each:
                kept.append(np.ascontiguousarray(swapped))
    rows = [
        (caption_words, square)
        for caption_words in sorted(by_caption)
        for square in by_caption[caption_words]
    ]
    return Squares(
        rgb_u8_nhwc=np.stack([square for _, square in rows]),
        words=tuple(caption_words for caption_words, _ in rows),
        luma_at=luma_at,
        roughness_at=roughness_at,
    )


def latents_of(
    rgb_u8_nhwc: NDArray[np.uint8], vae: Any, side_px: int, *, batch: int = 32
) -> torch.Tensor:
    """Encode squares into scaled latents.

    Args:
        rgb_u8_nhwc: Squares, RGB, shape (N, side, side, 3).
        vae: Autoencoder with its shift and scaling factor.
        side_px: Side to which squares are resized first, in pixels.
        batch: Number of squares per pass.

    Returns:
        Latents, float32, shape (N, C, side_px / 8, side_px / 8).
    """
    config = vae.config
    out = []
    for start in range(0, len(rgb_u8_nhwc), batch):
        part = [
            np.asarray(Image.fromarray(square).resize((side_px, side_px), Image.Resampling.LANCZOS))
            for square in rgb_u8_nhwc[start : start + batch]
        ]
        pixels = torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            mode = vae.encode(pixels).latent_dist.mode()
        out.append((mode - config.shift_factor) * config.scaling_factor)
    return torch.cat(out).clone()


def _square(image: Image.Image, side_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    side = int(min(image.size) * rng.uniform(0.4, 1.0))
    left = int(rng.integers(image.width - side + 1))
    top = int(rng.integers(image.height - side + 1))
    cut = image.crop((left, top, left + side, top + side))
    pixels = np.asarray(cut.resize((side_px, side_px), Image.Resampling.LANCZOS))
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def _measured(square: NDArray[np.uint8]) -> Measures:
    if square.shape[0] == _MEASURED_PX:
        return measure(square)
    image = Image.fromarray(np.ascontiguousarray(square))
    return measure(np.asarray(image.resize((_MEASURED_PX, _MEASURED_PX), Image.Resampling.BOX)))
