"""Answers about golden items, whose label is known: confusion and accuracy per reviewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ....data.vocabulary import Label
from ...proportion import share

LABELS: Final = tuple(label.value for label in Label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Share of successes with its exact 95 % interval.

    Attributes:
        k: Number of successes.
        n: Number of trials.
        low: Lower bound, 0 to 1.
        high: Upper bound, 0 to 1.
    """

    k: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """Share of successes; None without trials."""
        return self.k / self.n if self.n else None

    def to_json(self) -> dict[str, Any]:
        """Return the share as plain values."""
        return {"value": self.value, "k": self.k, "n": self.n, "low": self.low, "high": self.high}

    def describe(self) -> str:
        """Return the share with its interval in per cent, and its counts."""
        if self.value is None:
            return "none answered"
        return f"{self.value:.0%} ({self.low:.0%} to {self.high:.0%}) of {self.n:,}"


def share_of(k: int, n: int) -> Share:
    """Return a share with the exact interval of `proportion.share`; 0 to 1 without trials."""
    if n == 0:
        return Share(k=0, n=0, low=0.0, high=1.0)
    interval = share(k, n)
    return Share(k=k, n=n, low=interval.low, high=interval.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRecord:
    """A reviewer's answers about golden items.

    Attributes:
        reviewer: Name of the reviewer.
        confusion: Number of items by known label and answered label.
        right: Share of right labels among the answers other than `unsure`.
        found: Share answered fake among the items that are fake.
        kept: Share answered real or laundered, not AI-generated, among the items that are.
        unsure: Number of answers `unsure`, which no share counts.
    """

    reviewer: str
    confusion: dict[str, dict[str, int]]
    right: Share
    found: Share
    kept: Share
    unsure: int

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return {
            "reviewer": self.reviewer,
            "confusion": self.confusion,
            "right": self.right.to_json(),
            "found": self.found.to_json(),
            "kept": self.kept.to_json(),
            "unsure": self.unsure,
        }


def golden_records(answers: pl.DataFrame, golden: pl.DataFrame) -> list[GoldenRecord]:
    """Return the record of each reviewer who answered a golden item, by name.

    Args:
        answers: Standing answers with image_id, reviewer and label.
        golden: Golden items with image_id and label, each image once.
    """
    counted = (
        answers.join(golden.select("image_id", known="label"), on="image_id")
        .group_by("reviewer", "known", "label")
        .len()
        .sort("reviewer")
    )
    by_reviewer: dict[str, dict[str, dict[str, int]]] = {}
    for reviewer, known, label, n in counted.iter_rows():
        empty = {known: dict.fromkeys(LABELS, 0) for known in LABELS if known != Label.UNSURE}
        table = by_reviewer.setdefault(reviewer, empty)
        if known in table and label in LABELS:
            table[known][label] += n
    return [_record(reviewer, table) for reviewer, table in by_reviewer.items()]


def _record(reviewer: str, table: dict[str, dict[str, int]]) -> GoldenRecord:
    def total(knowns: tuple[str, ...], labels: tuple[str, ...]) -> int:
        return sum(table[known][label] for known in knowns for label in labels)

    made, others = (Label.FAKE.value,), (Label.REAL.value, Label.LAUNDERED.value)
    definite = made + others
    n_right = sum(table[label][label] for label in definite)
    return GoldenRecord(
        reviewer=reviewer,
        confusion=table,
        right=share_of(n_right, total(definite, definite)),
        found=share_of(total(made, made), total(made, definite)),
        kept=share_of(total(others, others), total(others, definite)),
        unsure=total(definite, (Label.UNSURE.value,)),
    )
