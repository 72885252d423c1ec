"""How far one backend or precision moves scores from fp32 PyTorch's, and how far it may.

Pure functions on logits; `measured` keeps what they say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# In fp32 the same picture must score the same everywhere: every picture, not most.
EXACT_LIMIT_LOGIT: Final = 1e-3
# In other precisions: at the 99th percentile. Beyond it decisions move more than people's do.
REDUCED_LIMIT_LOGIT: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Absolute differences of logits over some pictures; NaN counts as infinite."""

    n_images: int
    mean: float
    p99: float
    max: float


def drift_between(reference: NDArray[np.float32], logits: NDArray[np.float32]) -> Drift:
    """The drift of `logits` from `reference`, both (N,), of the same pictures in order."""
    if len(reference) == 0:
        return Drift(n_images=0, mean=0.0, p99=0.0, max=0.0)
    apart = np.abs(logits.astype(np.float64) - reference.astype(np.float64))
    apart = np.where(np.isnan(apart), np.inf, apart)
    return Drift(
        n_images=len(apart),
        mean=float(apart.mean()),
        # The observed value at or above the percentile: between two there is no picture.
        p99=float(np.quantile(apart, 0.99, method="higher")),
        max=float(apart.max()),
    )


def is_exact(precision: str) -> bool:
    """Whether scores of this precision must be those of the reference."""
    return precision == "fp32"


def limit_logit(precision: str) -> float:
    """How far a backend of this precision may move a logit."""
    return EXACT_LIMIT_LOGIT if is_exact(precision) else REDUCED_LIMIT_LOGIT


def judged_logit(drift: Drift, precision: str) -> float:
    """The figure that is held against the limit: the maximum in fp32, else the 99th percentile."""
    return drift.max if is_exact(precision) else drift.p99
