"""The threshold whose false-positive rate is bounded with confidence, from real images alone.

Source: Tong, Feng and Li 2018, "Neyman-Pearson classification algorithms and NP receiver operating
characteristics", Science Advances 4(2), proposition 1. With the scores of n exchangeable real
images in ascending order, the k-th one as threshold (flag strictly above it) has a false-positive
rate above alpha with probability at most

    v(k) = sum over j from k to n of C(n, j) (1 - alpha)^j alpha^(n - j).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def violation_probability(k: int, n_reals: int, level: float) -> float:
    """Return v(k), the bound on the probability that the false-positive rate exceeds the level.

    Args:
        k: Rank of the threshold among the scores, 1 (lowest) to `n_reals`.
        n_reals: Number of real images.
        level: Largest false-positive rate, in (0, 1).
    """
    # Every run imports this module and few call this; scipy.stats takes half a second to load.
    from scipy.stats import binom

    return float(binom.sf(k - 1, n_reals, 1 - level))


def threshold_rank(n_reals: int, level: float, confidence: float) -> int | None:
    """Return the smallest rank whose violation probability is at most 1 - confidence.

    Args:
        n_reals: Number of real images.
        level: Largest false-positive rate, in (0, 1).
        confidence: Probability with which it holds, in (0, 1).

    Returns:
        Rank of the threshold, 1 to `n_reals`; None if no rank has the guarantee.
    """
    from scipy.stats import binom

    if n_reals < reals_needed(level, confidence):
        return None
    # v falls with k, so the rank is one past the quantile of the binomial distribution.
    rank = int(binom.isf(1 - confidence, n_reals, 1 - level)) + 1
    while rank > 1 and violation_probability(rank - 1, n_reals, level) <= 1 - confidence:
        rank -= 1
    while violation_probability(rank, n_reals, level) > 1 - confidence:
        rank += 1
    return rank


def threshold(
    real_logits: NDArray[np.float32], level: float, confidence: float
) -> np.float32 | None:
    """Return the logit above which images may be flagged; None if the reals are too few.

    Args:
        real_logits: Logits of the real images, shape (N,), finite, one per group of copies.
        level: Largest false-positive rate, in (0, 1).
        confidence: Probability with which it holds, in (0, 1).
    """
    rank = threshold_rank(len(real_logits), level, confidence)
    if rank is None:
        return None
    return np.float32(np.partition(real_logits, rank - 1)[rank - 1])


def reals_needed(level: float, confidence: float) -> int:
    """Return the number of real images from which a threshold with the guarantee exists.

    It is the smallest n with (1 - level)^n <= 1 - confidence: 59 for 5 %, 299 for 1 % and 2,995
    for 0.1 % at 95 % confidence.
    """
    n_reals = math.ceil(math.log(1 - confidence) / math.log1p(-level))
    # Rounding may be off by one at an exact solution.
    while violation_probability(n_reals, n_reals, level) > 1 - confidence:
        n_reals += 1
    while n_reals > 1 and violation_probability(n_reals - 1, n_reals - 1, level) <= 1 - confidence:
        n_reals -= 1
    return n_reals
