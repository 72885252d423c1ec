"""Attacks that survive being saved: a detector behind random JPEG compression and resizing.

The gradient is the mean over random transformations (expectation over transformation, Athalye et
al. 2018a, "Synthesizing Robust Adversarial Examples"). The forward pass of JPEG is Pillow's, so
that every transformation is that of a real file; its backward pass is the identity (backward pass
differentiable approximation, Athalye et al. 2018b, "Obfuscated Gradients Give a False Sense of
Security").
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from ...data.errors import ConfigError
from .pixel import Logits


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDraws:
    """The distribution of files that an attack must survive.

    Raises:
        ConfigError: A number or a range is not allowed.
    """

    n: int = 4
    """Number of files per step, at least 1; each costs one forward and one backward pass."""
    jpeg_quality: tuple[int, int] = (70, 95)
    """Range of JPEG qualities, 1 to 100, both ends included."""
    scale: tuple[float, float] = (0.8, 1.0)
    """Range of the factor of both sides, from 0.1; (1, 1) keeps the size."""
    seed: int = 0
    """Seed of the files."""

    def __post_init__(self) -> None:
        low, high = self.jpeg_quality
        if self.n < 1 or not 1 <= low <= high <= 100 or not 0.1 <= self.scale[0] <= self.scale[1]:
            raise ConfigError(
                f"n = {self.n}, jpeg_quality = {low} to {high}, scale = {self.scale}; allowed: n "
                "from 1, qualities 1 to 100 and scales from 0.1, each in ascending order"
            )


def through_files(logits: Logits, draws: FileDraws) -> Logits:
    """Return a function that gives the mean logit over `draws.n` random files.

    Every call draws the same files, so that step-size rules can compare its values.

    Args:
        logits: Detector as a differentiable function.
        draws: Distribution of the files.
    """

    def mean_logit(pixels: torch.Tensor) -> torch.Tensor:
        rng = np.random.default_rng(draws.seed)
        total = torch.zeros(len(pixels), device=pixels.device)
        for _ in range(draws.n):
            scaled = _rescaled(pixels, float(rng.uniform(*draws.scale)))
            quality = int(rng.integers(draws.jpeg_quality[0], draws.jpeg_quality[1] + 1))
            total = total + logits(as_jpeg(scaled, quality))
        return total / draws.n

    return mean_logit


def as_jpeg(pixels: torch.Tensor, quality: int) -> torch.Tensor:
    """Compress pixels with Pillow's JPEG and decode them; gradients pass unchanged.

    Args:
        pixels: Pixels in [0, 1], shape (N, 3, H, W).
        quality: JPEG quality, 1 to 100.
    """
    u8_nhwc = (pixels.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    shown: Sequence[np.ndarray] = [_reopened(rgb, quality) for rgb in u8_nhwc]
    back = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).to(pixels) / 255
    return pixels + (back - pixels).detach()


def _reopened(rgb_u8_hwc: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(rgb_u8_hwc).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def _rescaled(pixels: torch.Tensor, factor: float) -> torch.Tensor:
    height, width = (max(round(side * factor), 8) for side in pixels.shape[-2:])
    if (height, width) == tuple(pixels.shape[-2:]):
        return pixels
    return functional.interpolate(
        pixels, (height, width), mode="bilinear", antialias=True, align_corners=False
    ).clamp(0, 1)
