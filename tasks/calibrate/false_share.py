"""Upper bounds on the share of real images among the flagged, for all thresholds at once.

The flagged share of a threshold may be looked at before the threshold is chosen, so a bound for one
threshold is not enough. For real images that are exchangeable with the calibration reals, the
number of them above the k-th highest calibration score has a distribution that depends on no
score: uniform spacings, then a multinomial count. Its upper envelope over a grid of ranks is drawn
by simulation, with one pointwise level chosen so that the envelope holds everywhere with the
requested confidence. Setting: Song, Jin and Candès 2026, "Everywhere valid bounds on false
discovery proportions" (arXiv 2605.20726); the envelope here is a simulated one of equal pointwise
levels.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

N_DRAWS: Final = 4_000
_N_RANKS: Final = 60


def ranks_of(n_reals: int) -> NDArray[np.int64]:
    """Return the ranks of the thresholds, from 1 (the highest real score), about evenly in log."""
    grid = np.geomspace(1, max(n_reals, 1), _N_RANKS)
    return np.unique(np.round(grid).astype(np.int64))


def most_reals_above(
    n_reals: int, n_images: int, *, confidence: float, seed: int = 0, n_draws: int = N_DRAWS
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many reals of a batch lie above each threshold at most, for all thresholds.

    Args:
        n_reals: Number of calibration reals, 1 or more.
        n_images: Number of images of the batch; at worst all of them are real.
        confidence: Probability with which all bounds hold at once, in (0, 1).
        seed: Seed of the simulation.
        n_draws: Number of simulated batches.

    Returns:
        Ranks of the thresholds among the calibration reals (1 is the highest), ascending, and the
        bound for each: reals of the batch with a score strictly above the real of that rank.
    """
    rng = np.random.default_rng(seed)
    ranks = ranks_of(n_reals)
    # Shares of the real population between consecutive thresholds, and below the last one.
    sizes = np.diff(np.concatenate([[0], ranks, [n_reals + 1]])).astype(np.float64)
    shares = rng.dirichlet(sizes, size=n_draws)
    counts = np.cumsum(rng.multinomial(n_images, shares)[:, :-1], axis=1)
    return ranks, _envelope(counts, confidence)


def _envelope(counts: NDArray[np.int64], confidence: float) -> NDArray[np.int64]:
    """Return a bound per column that holds in all columns for a share of the rows.

    Args:
        counts: Simulated counts, shape (draws, thresholds).
        confidence: Share of the rows that stay within the bounds in every column.
    """
    n_draws = len(counts)
    in_order = np.sort(counts, axis=0)
    # The lowest common rank of the bounds with which enough rows hold everywhere.
    low, high = 0, n_draws - 1
    while low < high:
        middle = (low + high) // 2
        holds = (counts <= in_order[middle]).all(axis=1).mean()
        low, high = (low, middle) if holds >= confidence else (middle + 1, high)
    bounds: NDArray[np.int64] = in_order[low]
    return bounds


def false_share_bounds(
    real_logits: NDArray[np.float32],
    logits: NDArray[np.float32],
    *,
    confidence: float,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Return an upper bound on the share of reals among the flagged beside each threshold.

    Args:
        real_logits: Logits of the calibration reals, ascending, shape (M,), M >= 1.
        logits: Logits of a batch, finite, shape (N,).
        confidence: Probability with which all bounds hold at once, in (0, 1).
        seed: Seed of the simulation.

    Returns:
        Thresholds (flag strictly above; descending), numbers of flagged images, and bounds on
        the share of reals among them, in [0, 1]; 0 where nothing is flagged.
    """
    ranks, most = most_reals_above(len(real_logits), len(logits), confidence=confidence, seed=seed)
    thresholds = real_logits[len(real_logits) - ranks]
    ascending = np.sort(logits)
    n_flagged = len(logits) - np.searchsorted(ascending, thresholds, side="right")
    bounds = np.where(n_flagged > 0, np.minimum(1.0, most / np.maximum(n_flagged, 1)), 0.0)
    return thresholds, n_flagged, bounds
