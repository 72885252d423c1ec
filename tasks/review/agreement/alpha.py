"""Krippendorff's alpha for labels: agreement of any number of reviewers, with missing answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .measure import Measure, percentiles, resampled_counts
from .ratings import Ratings

SINGLE_LABEL = "every image with two answers has the same label, so chance agreement is certain"


def krippendorff_alpha(ratings: Ratings, *, seed: int = 0) -> Measure:
    """Return Krippendorff's alpha for nominal data, with a bootstrap interval over images.

    Args:
        ratings: Answers by image and reviewer.
        seed: Seed of the bootstrap over images.

    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C.
    """
    if not ratings.labels:
        return Measure(why_not="there are no answers with a label")
    if len(ratings.reviewers) == 1:
        lone = ratings.reviewers[0]
        return Measure(why_not=f"all answers with a label are from one reviewer, {lone}")
    counts, n_alike = label_counts(ratings)
    is_pairable = counts.sum(axis=1) > 1
    counts, n_alike = counts[is_pairable], n_alike[is_pairable]
    if len(counts) == 0:
        return Measure(why_not="no image has answers of two reviewers")
    n_images, n_answers = int(n_alike.sum()), int(n_alike @ counts.sum(axis=1))
    value = _alphas(counts, n_alike[None])[0]
    if not np.isfinite(value):
        return Measure(n_images=n_images, n_answers=n_answers, why_not=SINGLE_LABEL)
    interval = percentiles(_alphas(counts, resampled_counts(n_alike, seed=seed)))
    return Measure(
        value=float(value),
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        n_images=n_images,
        n_answers=n_answers,
        why_not=None if interval else "almost all resamples have a single label",
    )


def label_counts(ratings: Ratings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct numbers of answers by label, (P, K), and the images with each, (P,)."""
    flat = ratings.unit * len(ratings.labels) + ratings.label
    per_image = np.bincount(flat, minlength=ratings.n_images * len(ratings.labels))
    per_image = per_image.reshape(ratings.n_images, len(ratings.labels))
    counts, n_alike = np.unique(per_image, axis=0, return_counts=True)
    return counts.astype(np.int64), n_alike.astype(np.int64)


def _alphas(counts: NDArray[np.int64], n_alike: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return alpha per sample; NaN where all its answers have one label.

    Args:
        counts: Number of answers by label of each kind of image, (P, K), at least two per kind.
        n_alike: Number of images of each kind per sample, (R, P).
    """
    answers = counts.sum(axis=1)
    # Disagreeing pairs of answers of an image, as coincidences: each pair counts 1 / (answers - 1).
    differing = (answers**2 - (counts**2).sum(axis=1)) / (answers - 1)
    by_label = n_alike.astype(float) @ counts
    total = by_label.sum(axis=1)
    expected = total**2 - (by_label**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        alphas = 1 - (total - 1) * (n_alike @ differing) / expected
    return np.where(expected > 0, alphas, np.nan)
