"""Attacks that survive being saved: the detector seen through random JPEG and resizing.

The gradient is the mean over draws of the way to the file (expectation over transformation,
Athalye et al. 2018a). JPEG goes forward through Pillow itself, so that every draw is a real file,
and backward as if it changed nothing (backward-pass differentiable approximation, Athalye et al.
2018b).
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
    """Which files the attack must survive."""

    n: int = 4
    """Draws a step; each costs one pass forward and back."""
    jpeg_quality: tuple[int, int] = (70, 95)
    """Range, both ends included."""
    scale: tuple[float, float] = (0.8, 1.0)
    """Range of the sides' factor; (1, 1) leaves the size."""
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.jpeg_quality
        if self.n < 1 or not 1 <= low <= high <= 100 or not 0.1 <= self.scale[0] <= self.scale[1]:
            raise ConfigError(
                f"{self.n} draws, JPEG quality {low} to {high}, scale {self.scale}; allowed: at "
                "least 1 draw, qualities 1 to 100 and scales from 0.1, each low before high"
            )


def through_files(logits: Logits, draws: FileDraws) -> Logits:
    """The mean logit over `draws.n` random ways to a file; the same draws at every call.

    Fixed draws make it a function that step-size rules can compare values of.
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
    """What Pillow's JPEG of this quality shows of the pixels; gradients pass unchanged.

    Args:
        pixels: In [0, 1], shape (N, 3, H, W).
        quality: 1 to 100.
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
