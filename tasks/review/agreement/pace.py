"""How fast reviewers answer: time per item, and answers per day."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from ....data.vocabulary import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """A reviewer's answers over time.

    Attributes:
        reviewer: Name of the reviewer.
        answers: Number of answers, corrections included.
        images: Number of distinct images.
        unsure: Number of answers `unsure`.
        timed: Number of answers with a time.
        seconds_q1: First quartile of the time per item in seconds; None without times.
        seconds_median: Median of the same.
        seconds_q3: Third quartile of the same.
        days: Number of days (UTC) with an answer.
        per_day_median: Median number of answers on such a day.
        last_day: Last day with an answer, as YYYY-MM-DD.
    """

    reviewer: str
    answers: int
    images: int
    unsure: int
    timed: int
    seconds_q1: float | None
    seconds_median: float | None
    seconds_q3: float | None
    days: int
    per_day_median: float
    last_day: str

    def to_json(self) -> dict[str, Any]:
        """Return the pace as plain values."""
        return asdict(self)


def paces(answers: pl.DataFrame) -> list[Pace]:
    """Return the pace of each reviewer, most answers first.

    Args:
        answers: Answers with image_id, reviewer, label, reviewed_at and seconds; those taken back
            are left out by the caller.
    """
    daily = answers_per_day(answers)
    by_day = daily.group_by("reviewer").agg(
        days=pl.len().cast(pl.Int64),
        per_day_median=pl.col("answers").median(),
        last_day=pl.col("day").max().cast(pl.String),
    )
    rows = (
        answers.group_by("reviewer")
        .agg(
            answers=pl.len().cast(pl.Int64),
            images=pl.col("image_id").n_unique().cast(pl.Int64),
            unsure=(pl.col("label") == Label.UNSURE.value).sum().cast(pl.Int64),
            timed=pl.col("seconds").count().cast(pl.Int64),
            seconds_q1=pl.col("seconds").quantile(0.25, "linear"),
            seconds_median=pl.col("seconds").median(),
            seconds_q3=pl.col("seconds").quantile(0.75, "linear"),
        )
        .join(by_day, on="reviewer")
        .sort("answers", "reviewer", descending=[True, False])
    )
    return [Pace(**row) for row in rows.iter_rows(named=True)]


def answers_per_day(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the number of answers by reviewer and day (UTC).

    Args:
        answers: Answers with reviewer and reviewed_at.

    Returns:
        Columns reviewer, day, answers; sorted by both.
    """
    return (
        answers.group_by("reviewer", day=pl.col("reviewed_at").dt.date())
        .agg(answers=pl.len().cast(pl.Int64))
        .sort("reviewer", "day")
    )
