"""Answers as arrays: which reviewer gave which label to which image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....data.vocabulary import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """Answers by image, reviewer and label, each image and reviewer at most once.

    Attributes:
        reviewers: Names of the reviewers, sorted.
        labels: Labels that were given, in the order of `Label`.
        n_images: Number of images.
        unit: Index of the image per answer, (N,).
        rater: Index of the reviewer per answer, (N,).
        label: Index of the label per answer, (N,).
    """

    reviewers: tuple[str, ...]
    labels: tuple[str, ...]
    n_images: int
    unit: NDArray[np.int64]
    rater: NDArray[np.int64]
    label: NDArray[np.int64]


def ratings_of(answers: pl.DataFrame, *, unsure_counts: bool = False) -> Ratings:
    """Return answers as arrays.

    Args:
        answers: Standing answers with image_id, reviewer and label.
        unsure_counts: Whether `unsure` is a label like the others; if not, it is a missing answer.
    """
    allowed = [label.value for label in Label if unsure_counts or label is not Label.UNSURE]
    kept = answers.filter(pl.col("label").is_in(allowed)).unique(
        ["image_id", "reviewer"], keep="last", maintain_order=True
    )
    given = set(kept["label"].unique())
    labels = tuple(label for label in allowed if label in given)
    reviewers = tuple(kept["reviewer"].unique().sort())
    units = kept["image_id"].unique()
    return Ratings(
        reviewers=reviewers,
        labels=labels,
        n_images=len(units),
        unit=_codes(kept["image_id"], units),
        rater=_codes(kept["reviewer"], pl.Series(reviewers, dtype=pl.String)),
        label=_codes(kept["label"], pl.Series(labels, dtype=pl.String)),
    )


def _codes(values: pl.Series, names: pl.Series) -> NDArray[np.int64]:
    """Return the position of each value among distinct names."""
    index = pl.DataFrame({"name": names}).with_row_index("code")
    found = pl.DataFrame({"name": values}).join(index, on="name", how="left", maintain_order="left")
    return found["code"].to_numpy().astype(np.int64)
