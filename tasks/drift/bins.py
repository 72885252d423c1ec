"""Counts of two populations in common bins, for charts. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

N_BINS: Final = 24
# Outliers would leave one bar of all other values.
_OUTER_SHARE: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Counts of two populations in the same bins.

    Attributes:
        edges: Edges of the bins, one more than bins; values beyond count in the outer bins.
        before: Counts of the first population.
        after: Counts of the second population.
    """

    edges: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


def bins_of(before: Array, after: Array, *, n_bins: int = N_BINS) -> Bins:
    """Return the counts of two samples in bins of equal width over 99 % of both.

    Args:
        before: Finite values of the first sample, (n,), n >= 1.
        after: Finite values of the second sample, (m,), m >= 1.
        n_bins: Number of bins; one for a single value.
    """
    # The quantiles of each sample, so that the larger one does not push the other aside.
    ends = [np.quantile(one, [_OUTER_SHARE, 1 - _OUTER_SHARE]) for one in (before, after)]
    low, high = min(one[0] for one in ends), max(one[1] for one in ends)
    if low == high:
        low, high, n_bins = low - 0.5, high + 0.5, 1
    edges = np.linspace(low, high, n_bins + 1)
    counts = [
        np.bincount(
            np.clip(np.searchsorted(edges, one, side="right") - 1, 0, n_bins - 1), minlength=n_bins
        )
        for one in (before, after)
    ]
    return Bins(
        edges=tuple(edges.tolist()),
        before=tuple(counts[0].tolist()),
        after=tuple(counts[1].tolist()),
    )
