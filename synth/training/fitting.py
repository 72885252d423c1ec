"""Progress of a training loop, and the running mean of its weights."""

from __future__ import annotations

import time

import torch
from torch import nn


def share_done(minutes: float, max_steps: int | None, *, started_s: float, step: int) -> float:
    """Return the share of the time or of the steps that is used, whichever is larger.

    Args:
        minutes: Training time, in minutes.
        max_steps: Number of steps at most; None: no limit.
        started_s: `time.monotonic()` at the start.
        step: Number of steps done.

    Returns:
        Share, at least 0; 1 and more means that the training is done.
    """
    by_time = (time.monotonic() - started_s) / max(minutes * 60, 1e-9)
    by_steps = step / max_steps if max_steps else 0.0
    return max(by_time, by_steps)


def averaged(module: nn.Module, steps: int) -> torch.optim.swa_utils.AveragedModel:
    """Return a model that holds the exponential moving average of a module's weights.

    Args:
        module: Module that is trained.
        steps: Time constant of the average in steps; 0: the weights of the last step.
    """
    decay = 1 - 1 / steps if steps else 0.0

    def mean(kept: torch.Tensor, now: torch.Tensor, n_seen: torch.Tensor | int) -> torch.Tensor:
        # A shorter average at first, so that the initial weights are forgotten.
        return torch.lerp(now, kept, min(decay, int(n_seen) / (int(n_seen) + 10)))

    return torch.optim.swa_utils.AveragedModel(module, avg_fn=mean)
