"""What another policy changes: the decisions that stand beside those it would make.

Nothing is written. The decisions that stand are the latest ones under the score key, by any policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.vocabulary import Decision
from ..decide.decide_images import applied_policy, decided_part
from ..decide.policy import Policy
from ..labels import best_labels
from ..latest_rows import latest_decisions, latest_sightings, parts_of
from ..proportion import Interval, share

UNDECIDED: Final = "none"
"""Word for an image that no decision stands for."""
EXAMPLES: Final = 12
_ORDER: Final = [UNDECIDED, *(decision.value for decision in Decision)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Images whose decision goes from one word to another.

    Attributes:
        was: Decision that stands; `none` without one.
        now: Decision under the other policy.
        n: Number of images.
        share: Share of all images, with its interval.
        n_real: Number of them labelled real.
        n_fake: Number of them labelled fake.
        examples: Ids of up to `EXAMPLES` of them, the highest scores first.
    """

    was: str
    now: str
    n: int
    share: Interval
    n_real: int
    n_fake: int
    examples: tuple[str, ...]

    @property
    def is_changed(self) -> bool:
        """Whether the two words differ."""
        return self.was != self.now


def ids_since(lake: Lake, since: datetime | None) -> pl.Series | None:
    """Return the ids of the images seen at or after a time; None for all images of the lake.

    Raises:
        StoreError: The lake cannot be read.
    """
    if since is None:
        return None
    rows = latest_sightings(lake).filter(pl.col("seen_at") >= since)
    return rows.select(pl.col("image_id").unique()).collect()["image_id"]


def read_changes(
    lake: Lake, policy: Policy, key: ScoreKey, image_ids: pl.Series | None
) -> pl.DataFrame:
    """Return the decision of each image as it stands and as another policy makes it.

    Args:
        lake: Lake of the images.
        policy: The other policy.
        key: Key of the scores.
        image_ids: Ids of the images; None for all images of the lake.

    Returns:
        Columns image_id, prob_fake, was, was_reasons, now, now_reasons, label.

    Raises:
        ConfigError: The calibration of the policy cannot be used.
        StoreError: The lake cannot be read.
    """
    applied = applied_policy(lake, policy, key, image_ids)
    parts = []
    for part in parts_of(lake, image_ids):
        decided = decided_part(lake, part, key, applied)
        stands = latest_decisions(lake, key, part=part).select(
            "image_id", was="decision", was_reasons="reasons"
        )
        labels = best_labels(
            part.rows(lake, "reviews"), part.rows(lake, "synthetics"), part.rows(lake, "sightings")
        ).select("image_id", "label")
        parts.append(
            decided.lazy()
            .select("image_id", "prob_fake", now="decision", now_reasons="reasons")
            .join(stands, on="image_id", how="left")
            .join(labels, on="image_id", how="left")
            .with_columns(pl.col("was").fill_null(UNDECIDED))
            .select("image_id", "prob_fake", "was", "was_reasons", "now", "now_reasons", "label")
            .collect()
        )
    if not parts:
        return pl.DataFrame(
            schema={
                "image_id": pl.String,
                "prob_fake": pl.Float32,
                "was": pl.String,
                "was_reasons": pl.List(pl.String),
                "now": pl.String,
                "now_reasons": pl.List(pl.String),
                "label": pl.String,
            }
        )
    return pl.concat(parts)


def count_changes(rows: pl.DataFrame) -> list[Change]:
    """Return the changes by their two words, in the order none, clear, review, flag.

    Args:
        rows: Rows of `read_changes`.
    """
    found = (
        rows.group_by("was", "now")
        .agg(
            n=pl.len(),
            n_real=(pl.col("label") == "real").sum(),
            n_fake=(pl.col("label") == "fake").sum(),
            examples=pl.col("image_id")
            .sort_by("prob_fake", "image_id", descending=[True, False], nulls_last=True)
            .head(EXAMPLES),
        )
        .iter_rows(named=True)
    )
    changes = [
        Change(
            was=row["was"],
            now=row["now"],
            n=row["n"],
            share=share(row["n"], rows.height),
            n_real=row["n_real"],
            n_fake=row["n_fake"],
            examples=tuple(row["examples"]),
        )
        for row in found
    ]
    return sorted(changes, key=lambda one: (_ORDER.index(one.was), _ORDER.index(one.now)))


def changes_json(changes: list[Change]) -> list[dict[str, Any]]:
    """Return changes as JSON-ready values."""
    return [
        {
            "was": one.was,
            "now": one.now,
            "n": one.n,
            "share": one.share.value,
            "share_low": one.share.low,
            "share_high": one.share.high,
            "labelled_real": one.n_real,
            "labelled_fake": one.n_fake,
            "examples": list(one.examples),
        }
        for one in changes
    ]


def changes_text(changes: list[Change]) -> str:
    """Return changes as lines of text, with a line for the images that keep their decision."""
    total = sum(one.n for one in changes)
    kept = sum(one.n for one in changes if not one.is_changed)
    lines = [f"unchanged   {kept:>9,} of {total:,}"]
    for one in (one for one in changes if one.is_changed):
        labels = [
            f"{n:,} labelled {name}"
            for name, n in (("real", one.n_real), ("fake", one.n_fake))
            if n
        ]
        about = "".join(f", {label}" for label in labels)
        lines.append(f"  {one.was:>6} -> {one.now:<6} {one.n:>6,}   {one.share.text()}{about}")
    return "\n".join(lines)
