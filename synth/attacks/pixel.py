"""Attacks in pixels: projected gradient steps within a box around the picture.

The detector comes in as a callable from pixels to logits that gradients flow through; nothing
here knows which one. `aim` -1 lowers the logit (a fake that wants to pass), +1 raises it.

Sources: Madry et al. 2018 (PGD); Croce & Hein 2020, "Reliable evaluation of adversarial robustness
with an ensemble of diverse parameter-free attacks", section 3 (APGD).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.errors import ConfigError

Logits = Callable[[torch.Tensor], torch.Tensor]
"""Pixels in [0, 1], float32, shape (N, 3, H, W), to one logit each, shape (N,)."""

Rgb = NDArray[np.uint8]
MAX_EPSILON_LEVELS: Final = 64.0
# APGD's own constants: how soon step sizes are reconsidered, and when they are halved.
_FIRST_CHECK, _CHECK_SHRINK, _MIN_CHECK, _ENOUGH = 0.22, 0.03, 0.06, 0.75
_MOMENTUM: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackSettings:
    """How far and how long; epsilon in levels of 255, as the literature quotes it."""

    kind: str = "apgd"
    """`pgd` or `apgd`."""
    epsilon_levels: float = 4.0
    steps: int = 20
    step_levels: float | None = None
    """PGD only; default: 2.5 epsilon over the steps, which can cross the box."""
    random_start: bool = False
    seed: int = 0
    aim: int = -1

    def __post_init__(self) -> None:
        if self.kind not in {"pgd", "apgd"}:
            raise ConfigError(f"an attack of kind {self.kind!r}; allowed: pgd, apgd")
        if not 0 < self.epsilon_levels <= MAX_EPSILON_LEVELS:
            raise ConfigError(
                f"an epsilon of {self.epsilon_levels} levels; allowed: above 0, at most "
                f"{MAX_EPSILON_LEVELS:g} of 255"
            )
        if self.steps < 1 or self.aim not in {-1, 1}:
            raise ConfigError(
                f"{self.steps} steps and aim {self.aim}; allowed: at least 1 step, aim -1 or 1"
            )


def check_levels(epsilon_levels: float) -> None:
    """Refuse an epsilon that no file of 8 bits per channel holds.

    Raises:
        ConfigError: It is no whole number of levels; rounding would make another of it.
    """
    if epsilon_levels != round(epsilon_levels):
        raise ConfigError(
            f"an epsilon of {epsilon_levels:g} levels; files hold whole levels: allowed are whole "
            f"numbers from 1 to {MAX_EPSILON_LEVELS:g}"
        )


def attack(pixels: torch.Tensor, logits: Logits, settings: AttackSettings) -> torch.Tensor:
    """The pixels, changed by at most epsilon each, that move the logits furthest.

    Args:
        pixels: In [0, 1], float32, shape (N, 3, H, W). Each row is attacked by itself.
        logits: The detector; its gradients must be finite.
        settings: Box, steps and direction.

    Returns:
        The best point met, in [0, 1] and within the box, same shape. A row that no step moves in
        the wanted direction comes back as it was.
    """
    epsilon = settings.epsilon_levels / 255
    low, high = (pixels - epsilon).clamp(0, 1), (pixels + epsilon).clamp(0, 1)
    start = pixels
    if settings.random_start:
        generator = torch.Generator().manual_seed(settings.seed)
        drawn = torch.rand(pixels.shape, generator=generator).to(pixels)
        start = low + (high - low) * drawn
    walk = _pgd if settings.kind == "pgd" else _apgd
    return walk(pixels, start, low, high, logits, settings)


def pixels_of(rgb_u8_hwc: Rgb) -> torch.Tensor:
    """A picture of shape (H, W, 3) as pixels in [0, 1], shape (1, 3, H, W)."""
    return torch.from_numpy(rgb_u8_hwc).permute(2, 0, 1)[None].float() / 255


def rgb_of(pixels: torch.Tensor) -> Rgb:
    """The one picture of pixels in [0, 1], shape (1, 3, H, W), rounded to bytes (H, W, 3)."""
    rounded: Rgb = (pixels[0] * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    return rounded


def gain_and_gradient(
    at: torch.Tensor, logits: Logits, aim: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the logits lie in the wanted direction, shape (N,), and its slope by pixel."""
    leaf = at.detach().requires_grad_()
    gain = aim * logits(leaf)
    (slope,) = torch.autograd.grad(gain.sum(), leaf)
    return gain.detach(), slope


def _rows(values: torch.Tensor) -> torch.Tensor:
    return values.view(-1, 1, 1, 1)


def _pgd(
    pixels: torch.Tensor,
    start: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
    logits: Logits,
    settings: AttackSettings,
) -> torch.Tensor:
    levels = settings.step_levels or 2.5 * settings.epsilon_levels / settings.steps
    best, best_gain = pixels, _gain(pixels, logits, settings.aim)
    at = start
    for _ in range(settings.steps):
        _, slope = gain_and_gradient(at, logits, settings.aim)
        at = torch.clamp(at + levels / 255 * slope.sign(), low, high)
        gain = _gain(at, logits, settings.aim)
        better = gain > best_gain
        best = torch.where(_rows(better), at, best)
        best_gain = torch.where(better, gain, best_gain)
    return best.detach()


@torch.no_grad()
def _gain(at: torch.Tensor, logits: Logits, aim: int) -> torch.Tensor:
    return aim * logits(at)


def _apgd(
    pixels: torch.Tensor,
    start: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
    logits: Logits,
    settings: AttackSettings,
) -> torch.Tensor:
    """Section 3 of the paper: momentum, and steps halved where they stopped helping."""
    n = len(pixels)
    step = torch.full((n,), 2 * settings.epsilon_levels / 255).to(pixels)
    gain, slope = gain_and_gradient(start, logits, settings.aim)
    origin = gain if start is pixels else _gain(pixels, logits, settings.aim)
    best, best_gain, best_slope = start, gain, slope
    at, before = start, start
    improved = torch.zeros(n, dtype=torch.long, device=pixels.device)
    halved_before = torch.zeros(n, dtype=torch.bool, device=pixels.device)
    best_at_check = best_gain
    checks = _checkpoints(settings.steps)
    last_check = 0
    for index in range(1, settings.steps + 1):
        forward = torch.clamp(at + _rows(step) * slope.sign(), low, high)
        keep = 1.0 if index == 1 else _MOMENTUM
        moved = at + keep * (forward - at) + (1 - keep) * (at - before)
        before, at = at, torch.clamp(moved, low, high)
        previous_gain = gain
        gain, slope = gain_and_gradient(at, logits, settings.aim)
        improved += gain > previous_gain
        better = gain > best_gain
        best = torch.where(_rows(better), at, best)
        best_slope = torch.where(_rows(better), slope, best_slope)
        best_gain = torch.where(better, gain, best_gain)
        if index in checks:
            length = index - last_check
            stuck = (best_gain == best_at_check) & ~halved_before
            halved = (improved < _ENOUGH * length) | stuck
            step = torch.where(halved, step / 2, step)
            # Those go on from the best point met, as if just come there.
            at = torch.where(_rows(halved), best, at)
            before = torch.where(_rows(halved), best, before)
            slope = torch.where(_rows(halved), best_slope, slope)
            gain = torch.where(halved, best_gain, gain)
            halved_before, best_at_check = halved, best_gain
            improved, last_check = torch.zeros_like(improved), index
    return torch.where(_rows(best_gain > origin), best, pixels).detach()


def _checkpoints(steps: int) -> frozenset[int]:
    """At which steps the step size is reconsidered: 22 %, then ever shorter stretches."""
    shares, stretch = [0.0, _FIRST_CHECK], _FIRST_CHECK
    while shares[-1] < 1:
        stretch = max(stretch - _CHECK_SHRINK, _MIN_CHECK)
        shares.append(shares[-1] + stretch)
    return frozenset(-int(-share * steps // 1) for share in shares[1:] if share <= 1)
