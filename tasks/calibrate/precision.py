"""Precision of a flag at a stated prevalence, from labelled images.

Precision = pi TPR / (pi TPR + (1 - pi) FPR) for the prevalence pi. The interval comes from draws of
both rates from their posteriors under Jeffreys' prior, Beta(1/2, 1/2): Brown, Cai and DasGupta
2001, "Interval Estimation for a Binomial Proportion", Statistical Science 16(2), section 4.3.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..proportion import Interval

_N_DRAWS: Final = 20_000


def precision_at(
    prevalence: float,
    *,
    n_fakes: int,
    n_fakes_flagged: int,
    n_reals: int,
    n_reals_flagged: int,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the precision of a flag where a share of the images is fake.

    Args:
        prevalence: Share of fakes among the images, in (0, 1).
        n_fakes: Number of labelled fakes.
        n_fakes_flagged: Number of those that are flagged.
        n_reals: Number of labelled reals.
        n_reals_flagged: Number of those that are flagged.
        confidence: Coverage of the interval, in (0, 1).
        seed: Seed of the draws.

    Returns:
        The median and an equal-tailed interval of the posterior.
    """
    rng = np.random.default_rng(seed)
    tpr = rng.beta(n_fakes_flagged + 0.5, n_fakes - n_fakes_flagged + 0.5, _N_DRAWS)
    fpr = rng.beta(n_reals_flagged + 0.5, n_reals - n_reals_flagged + 0.5, _N_DRAWS)
    true = prevalence * tpr
    precision = true / (true + (1 - prevalence) * fpr)
    tail = (1 - confidence) / 2
    low, value, high = np.quantile(precision, [tail, 0.5, 1 - tail])
    return Interval(value=float(value), low=float(low), high=float(high))
