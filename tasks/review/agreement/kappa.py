"""Cohen's kappa: agreement of two reviewers beyond chance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .measure import Measure, percentiles, resampled_counts
from .ratings import Ratings

_Z_95: Final = 1.959963984540054
TOO_FEW_RESAMPLES: Final = "almost all resamples have a single label"


def cohen_kappa(confusion: NDArray[np.int64], *, seed: int = 0) -> Measure:
    """Return Cohen's kappa of two reviewers, with a bootstrap and an asymptotic interval.

    Args:
        confusion: Number of images by the label of the one and of the other, (K, K).
        seed: Seed of the bootstrap over images.

    Sources: Cohen 1960, "A Coefficient of Agreement for Nominal Scales"; Fleiss, Cohen and Everitt
    1969, "Large Sample Standard Errors of Kappa and Weighted Kappa", equation 13.
    """
    n_images = int(confusion.sum())
    if n_images == 0:
        return Measure(why_not="the two have answered no image in common")
    counted = Measure(n_images=n_images, n_answers=2 * n_images)
    value = _kappas(confusion[None].astype(float))[0]
    if not np.isfinite(value):
        return _with(counted, why_not="both gave the same single label to every image")
    spread = _standard_error(confusion / n_images) / np.sqrt(n_images)
    drawn = resampled_counts(confusion.ravel(), seed=seed).reshape(-1, *confusion.shape)
    interval = percentiles(_kappas(drawn.astype(float)))
    return Measure(
        value=float(value),
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        analytic_low=max(-1.0, float(value - _Z_95 * spread)),
        analytic_high=min(1.0, float(value + _Z_95 * spread)),
        n_images=n_images,
        n_answers=2 * n_images,
        why_not=None if interval else TOO_FEW_RESAMPLES,
    )


def confusions(ratings: Ratings) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Yield each pair of reviewers with images in common, and their confusion (K, K).

    One product of sparse matrices counts all pairs at once.

    Args:
        ratings: Answers by image and reviewer.

    Yields:
        Index of the first reviewer, index of the second, and number of images by both labels.
    """
    n_labels, n_raters = len(ratings.labels), len(ratings.reviewers)
    columns = ratings.rater.astype(np.int64) * n_labels + ratings.label
    ones = np.ones(len(columns), np.int64)
    given = sp.csr_array(
        (ones, (ratings.unit, columns)), shape=(ratings.n_images, n_raters * n_labels)
    )
    joint = (given.T @ given).tocoo()
    first, second = joint.row // n_labels, joint.col // n_labels
    is_pair = first < second
    at = np.stack([first, second], axis=1)[is_pair]
    pairs, which = np.unique(at, axis=0, return_inverse=True)
    tables = np.zeros((len(pairs), n_labels, n_labels), np.int64)
    rows, cols = joint.row[is_pair] % n_labels, joint.col[is_pair] % n_labels
    np.add.at(tables, (which.reshape(-1), rows, cols), joint.data[is_pair])
    for (one, other), table in zip(pairs, tables, strict=True):
        yield int(one), int(other), table


def _with(measure: Measure, *, why_not: str) -> Measure:
    return Measure(n_images=measure.n_images, n_answers=measure.n_answers, why_not=why_not)


def _kappas(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the kappa of each confusion (R, K, K); NaN where chance agreement is certain."""
    total = tables.sum(axis=(1, 2))
    observed = np.trace(tables, axis1=1, axis2=2) / total
    by_chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_chance < 1, (observed - by_chance) / (1 - by_chance), np.nan)


def _standard_error(share: NDArray[np.float64]) -> float:
    """Return the standard error of kappa for one image.

    Args:
        share: Share of images by both labels, (K, K); its sum is 1.
    """
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    observed, by_chance = float(np.trace(share)), float(rows @ columns)
    kappa = (observed - by_chance) / (1 - by_chance)
    agreeing = np.diag(share) @ (1 - (rows + columns) * (1 - kappa)) ** 2
    weights = (rows[None, :] + columns[:, None]) ** 2
    differing = (1 - kappa) ** 2 * ((share - np.diag(np.diag(share))) * weights).sum()
    chance = (kappa - by_chance * (1 - kappa)) ** 2
    variance = (agreeing + differing - chance) / (1 - by_chance) ** 2
    return float(np.sqrt(max(0.0, variance)))
