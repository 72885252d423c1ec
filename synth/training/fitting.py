"""What every training loop here needs: how far it is, and a running mean of its weights."""

from __future__ import annotations

import time

import torch
from torch import nn


def share_done(minutes: float, max_steps: int | None, *, started_s: float, step: int) -> float:
    """How much of the time or of the steps is used up, whichever is further; 1 and more: done.

    Args:
        minutes: Time to train.
        max_steps: Steps to train; None for no limit.
        started_s: `time.monotonic()` at the start.
        step: Steps done.
    """
    by_time = (time.monotonic() - started_s) / max(minutes * 60, 1e-9)
    by_steps = step / max_steps if max_steps else 0.0
    return max(by_time, by_steps)


def averaged(module: nn.Module, steps: int) -> torch.optim.swa_utils.AveragedModel:
    """The running mean of the weights over about `steps` steps; of the last alone for 0."""
    decay = 1 - 1 / steps if steps else 0.0

    def mean(kept: torch.Tensor, now: torch.Tensor, n_seen: torch.Tensor | int) -> torch.Tensor:
        # A mean over all steps at first, so that the start is forgotten.
        return torch.lerp(now, kept, min(decay, int(n_seen) / (int(n_seen) + 10)))

    return torch.optim.swa_utils.AveragedModel(module, avg_fn=mean)
