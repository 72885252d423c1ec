"""Tests of two samples in one dimension, of categories, and of several tests at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PSI_BINS: Final = 10


def ks(before: Array, after: Array) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance, 0 to 1, and its asymptotic p-value.

    With ties the p-value is on the high side.

    Args:
        before: Values of the first sample, (n,).
        after: Values of the second sample, (m,).
    """
    # Runs without drift import this module too, and scipy.stats takes half a second.
    from scipy.stats import ks_2samp

    found = ks_2samp(before, after, method="asymp")
    return float(found.statistic), float(found.pvalue)


def psi(before: Array, after: Array, *, n_bins: int = PSI_BINS) -> float:
    """Return the population stability index over quantile bins of the first sample.

    Half a value is added to each bin, so that empty bins have a finite share.

    Args:
        before: Values of the first sample, (n,).
        after: Values of the second sample, (m,).
        n_bins: Number of bins; equal quantiles make one bin.
    """
    inner = np.linspace(0, 1, n_bins + 1)[1:-1]
    edges = np.unique(np.quantile(before, inner))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) + 0.5
        for values in (before, after)
    ]
    p, q = (count / count.sum() for count in counts)
    return float(np.sum((q - p) * np.log(q / p)))


def category_test(
    before: Array, after: Array, *, n_draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the total variation distance of two samples of categories, and its p-value.

    The p-value is that of a permutation test: under exchangeability the counts of a sample are
    multivariate hypergeometric, so that they are drawn without permuting rows.

    Args:
        before: Counts by category of the first sample, (c,), int64.
        after: Counts by category of the second sample, (c,), int64.
        n_draws: Number of draws.
        rng: Source of the draws.
    """
    both, n_before, n_after = before + after, int(before.sum()), int(after.sum())

    def distance(counts: Array) -> Array:
        shares = counts / n_before - (both - counts) / n_after
        return np.asarray(np.abs(shares).sum(axis=-1) / 2)

    seen = float(distance(before))
    draws = rng.multivariate_hypergeometric(both, n_before, size=n_draws)
    n_as_far = int((distance(draws) >= seen - 1e-12).sum())
    return seen, (n_as_far + 1) / (n_draws + 1)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Return which hypotheses are rejected, so that any is wrongly with probability `alpha`.

    The step-down procedure of Holm (1979); it holds for dependent tests.

    Args:
        p_values: P-value of each test.
        alpha: Probability of one or more false alarms, in (0, 1).
    """
    rejected = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected
