"""Figures of a lake's answers: labels, agreement, golden items, pace, appeals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ...data.store.lake import Lake
from ...data.vocabulary import AppealEvent, Label
from ..labels import CLASSES, standing
from .agreement.alpha import krippendorff_alpha
from .agreement.golden_answers import GoldenRecord, golden_records
from .agreement.kappa import cohen_kappa, confusions
from .agreement.measure import Measure
from .agreement.pace import Pace, answers_per_day, paces
from .agreement.ratings import Ratings, ratings_of
from .answers import all_answers
from .appeals import OPEN, appeals
from .golden import golden_items

_READ: Final = ("image_id", "label", "reviewer", "reviewed_at", "seconds", "answer_id", "withdraws")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Agreement of two reviewers."""

    first: str
    second: str
    kappa: Measure

    def to_json(self) -> dict[str, Any]:
        """Return the pair as plain values."""
        return {"first": self.first, "second": self.second, "kappa": self.kappa.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStats:
    """Figures of all answers.

    Attributes:
        lake: Address of the lake.
        answers: Number of answers that count: the latest per image and reviewer.
        corrected: Number of answers that a later one of their reviewer replaced.
        taken_back: Number of answers that were taken back.
        images: Number of images with an answer that counts.
        labels: Number of answers that count by label.
        twice: Number of images with labels of two reviewers or more.
        disputed: Number of images whose labels differ; they have no label.
        alpha: Krippendorff's alpha of all reviewers.
        pairs: Cohen's kappa of pairs with images in common, most images first.
        golden: Number of golden items.
        golden_records: Answers about golden items by reviewer.
        paces: Pace by reviewer, most answers first.
        per_day: Number of answers by reviewer and day (UTC).
        appeals: Number of appeals by state.
        unsure_counts: Whether `unsure` is a label in the measures of agreement.
        seed: Seed of the intervals.
    """

    lake: str
    answers: int
    corrected: int
    taken_back: int
    images: int
    labels: dict[str, int]
    twice: int
    disputed: int
    alpha: Measure
    pairs: Sequence[Pair]
    golden: int
    golden_records: Sequence[GoldenRecord]
    paces: Sequence[Pace]
    per_day: Sequence[dict[str, Any]]
    appeals: dict[str, int]
    unsure_counts: bool
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "alpha": self.alpha.to_json(),
            "pairs": [pair.to_json() for pair in self.pairs],
            "golden_records": [record.to_json() for record in self.golden_records],
            "paces": [pace.to_json() for pace in self.paces],
            "per_day": list(self.per_day),
        }


def review_stats(lake: Lake, *, unsure_counts: bool = False, seed: int = 0) -> ReviewStats:
    """Return the figures of all answers of a lake, those in its journal included.

    Args:
        lake: Lake of the answers.
        unsure_counts: Whether `unsure` is a label in the measures of agreement; if not, it is a
            missing answer.
        seed: Seed of the bootstrap intervals.

    Raises:
        StoreError: The lake or its journal cannot be read.
    """
    rows = all_answers(lake).select(_READ).collect()
    counting = standing(rows.lazy()).collect()
    taken_back = rows.filter(pl.col("withdraws").is_not_null()).select(
        "reviewer", answer_id="withdraws"
    )
    given = rows.filter(pl.col("withdraws").is_null())
    left = given.join(taken_back, on=["reviewer", "answer_id"], how="anti")
    ratings = ratings_of(counting, unsure_counts=unsure_counts)
    golden = golden_items(lake)
    labelled = (
        counting.filter(pl.col("label").is_in(CLASSES))
        .group_by("image_id")
        .agg(n=pl.len(), n_labels=pl.col("label").n_unique())
    )
    by_label = Counter(dict(counting.group_by("label").len().iter_rows()))
    return ReviewStats(
        lake=lake.uri,
        answers=counting.height,
        corrected=left.height - counting.height,
        taken_back=given.height - left.height,
        images=counting["image_id"].n_unique(),
        labels={label.value: by_label[label.value] for label in Label},
        twice=labelled.filter(pl.col("n") > 1).height,
        disputed=labelled.filter(pl.col("n_labels") > 1).height,
        alpha=krippendorff_alpha(ratings, seed=seed),
        pairs=_pairs(ratings, seed=seed),
        golden=golden.height,
        golden_records=golden_records(counting, golden),
        paces=paces(left),
        per_day=[
            {"reviewer": reviewer, "day": day.isoformat(), "answers": n}
            for reviewer, day, n in answers_per_day(left).iter_rows()
        ],
        appeals=_appeals(lake),
        unsure_counts=unsure_counts,
        seed=seed,
    )


def _pairs(ratings: Ratings, *, seed: int) -> list[Pair]:
    found = [
        Pair(
            first=ratings.reviewers[first],
            second=ratings.reviewers[second],
            kappa=cohen_kappa(confusion, seed=seed),
        )
        for first, second, confusion in confusions(ratings)
    ]
    return sorted(found, key=lambda pair: (-pair.kappa.n_images, pair.first, pair.second))


def _appeals(lake: Lake) -> dict[str, int]:
    states = appeals(lake)["state"].value_counts()
    counted = dict(states.iter_rows())
    names = (OPEN, AppealEvent.UPHELD.value, AppealEvent.OVERTURNED.value)
    return {name: counted.get(name, 0) for name in names}
