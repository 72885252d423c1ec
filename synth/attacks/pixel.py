"""Attacks in pixels: projected gradient steps within a box around the image.

The detector is any differentiable function from pixels to logits. An aim of -1 lowers the logit (so
that a fake passes), +1 raises it (so that a photo is flagged).

Sources: Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks" (PGD);
Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", section 3 (APGD).
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
"""Function from pixels in [0, 1], float32, shape (N, 3, H, W), to logits, shape (N,)."""

Rgb = NDArray[np.uint8]
MAX_EPSILON_LEVELS: Final = 64.0
# Constants of APGD: the checkpoints of the step size, and the condition for halving it.
_FIRST_CHECK, _CHECK_SHRINK, _MIN_CHECK, _ENOUGH = 0.22, 0.03, 0.06, 0.75
_MOMENTUM: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackSettings:
    """Settings of an attack.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: str = "apgd"
    """Kind of the attack: `pgd` or `apgd`."""
    epsilon_levels: float = 4.0
    """Half-width of the box in levels of 255, above 0 and at most `MAX_EPSILON_LEVELS`."""
    steps: int = 20
    """Number of gradient steps, at least 1."""
    step_levels: float | None = None
    """Step size of PGD in levels of 255; None: 2.5 epsilon / steps, which can cross the box."""
    random_start: bool = False
    """Whether the attack starts at a random point of the box."""
    seed: int = 0
    """Seed of the random start."""
    aim: int = -1
    """Direction in which the logit is moved: -1 or 1."""

    def __post_init__(self) -> None:
        if self.kind not in {"pgd", "apgd"}:
            raise ConfigError(f"kind = {self.kind!r}; allowed: pgd, apgd")
        if not 0 < self.epsilon_levels <= MAX_EPSILON_LEVELS:
            raise ConfigError(
                f"epsilon = {self.epsilon_levels} levels; allowed: above 0, at most "
                f"{MAX_EPSILON_LEVELS:g} of 255"
            )
        if self.steps < 1 or self.aim not in {-1, 1}:
            raise ConfigError(
                f"steps = {self.steps}, aim = {self.aim}; allowed: at least 1 step, aim -1 or 1"
            )


def check_levels(epsilon_levels: float) -> None:
    """Refuse an epsilon that a file with 8 bits per sample cannot hold.

    Args:
        epsilon_levels: Half-width of the box in levels of 255.

    Raises:
        ConfigError: The epsilon is not a whole number; rounding would change it.
    """
    if epsilon_levels != round(epsilon_levels):
        raise ConfigError(
            f"epsilon = {epsilon_levels:g} levels; allowed: whole numbers from 1 to "
            f"{MAX_EPSILON_LEVELS:g}, since files hold whole levels"
        )


def attack(pixels: torch.Tensor, logits: Logits, settings: AttackSettings) -> torch.Tensor:
    """Change pixels by at most epsilon each so that the logits move as far as possible.

    Args:
        pixels: Pixels in [0, 1], float32, shape (N, 3, H, W); rows are attacked independently.
        logits: Detector as a differentiable function with finite gradients.
        settings: Kind, box, steps and aim.

    Returns:
        Best point found, in [0, 1] and within the box, of the same shape. A row that no step moves
        in the wanted direction is returned unchanged.
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
    """Convert an image of shape (H, W, 3) to pixels in [0, 1], float32, shape (1, 3, H, W)."""
    return torch.from_numpy(rgb_u8_hwc).permute(2, 0, 1)[None].float() / 255


def rgb_of(pixels: torch.Tensor) -> Rgb:
    """Round pixels in [0, 1], shape (1, 3, H, W), to an image of bytes, shape (H, W, 3)."""
    rounded: Rgb = (pixels[0] * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    return rounded


def gain_and_gradient(
    at: torch.Tensor, logits: Logits, aim: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return aim times logit, shape (N,), and its gradient with respect to the pixels.

    Args:
        at: Point in pixels or latents, with N rows.
        logits: Detector as a differentiable function of the point.
        aim: Direction in which the logit is moved, -1 or 1.
    """
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
    """Run APGD: momentum, and step sizes that are halved when progress stops (section 3)."""
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
            # Rows with a halved step restart from their best point, without momentum.
            at = torch.where(_rows(halved), best, at)
            before = torch.where(_rows(halved), best, before)
            slope = torch.where(_rows(halved), best_slope, slope)
            gain = torch.where(halved, best_gain, gain)
            halved_before, best_at_check = halved, best_gain
            improved, last_check = torch.zeros_like(improved), index
    return torch.where(_rows(best_gain > origin), best, pixels).detach()


def _checkpoints(steps: int) -> frozenset[int]:
    """Return the steps at which step sizes are checked: at 22 %, then at ever shorter intervals."""
    shares, stretch = [0.0, _FIRST_CHECK], _FIRST_CHECK
    while shares[-1] < 1:
        stretch = max(stretch - _CHECK_SHRINK, _MIN_CHECK)
        shares.append(shares[-1] + stretch)
    return frozenset(-int(-share * steps // 1) for share in shares[1:] if share <= 1)
