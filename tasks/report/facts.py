"""The figures of a report: counted part by part, so that a million rows need no more memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from ...data.schema import Decision, Status
from ...data.store.lake import Lake
from ..decide.decide import with_thresholds
from ..decide.policy import Band, Policy
from ..latest_rows import buckets, latest_items
from ..pages.histogram import by_label, score_bins
from .run_record import RunRecord, run_images

N_PICTURES: Final = 12
N_EXAMPLES: Final = 5
N_COPIES: Final = 10
# Where the run's policy cannot be had, what is nearest to the middle is shown.
_MIDDLE: Final = 0.5


@dataclass(slots=True, kw_only=True)
class ReportFacts:
    """What the report shows, apart from the run's own record and the pictures."""

    n_images: int = 0
    n_scored: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    # backend -> images whose score it gave, in this run or an earlier one
    backends: dict[str, int] = field(default_factory=dict)
    # label -> decision -> images, only for labelled images
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    histogram: dict[str, list[int]] = field(default_factory=dict)
    # reason -> (items, examples with source_uri and detail)
    rejected: dict[str, tuple[int, list[dict[str, Any]]]] = field(default_factory=dict)
    copies: list[dict[str, Any]] = field(default_factory=list)
    # domain -> thresholds, for the domains that occur and have their own
    bands: dict[str, Band] = field(default_factory=dict)
    highest: list[dict[str, Any]] = field(default_factory=list)
    nearest: list[dict[str, Any]] = field(default_factory=list)
    lowest: list[dict[str, Any]] = field(default_factory=list)


def gather(
    lake: Lake, run: RunRecord, policy: Policy | None, *, n_pictures: int = N_PICTURES
) -> ReportFacts:
    """Count and pick, one part of the batch in memory at a time.

    Args:
        lake: Lake of the tables.
        run: Run of the images.
        policy: For each picture's distance to its flag threshold; None: to 0.5.
        n_pictures: At most so many of the highest, the lowest and the nearest.
    """
    facts = ReportFacts(decisions={decision.value: 0 for decision in Decision})
    bins: Counter[tuple[str, int]] = Counter()
    picks: dict[str, dict[str, Any]] = {}
    reasons: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    backends: Counter[str] = Counter()
    domains: set[str] = set()
    for bucket in buckets(lake, "images"):
        rows = run_images(lake, run, bucket=bucket).collect()
        rows = _with_distance(rows, policy)
        facts.n_images += rows.height
        facts.n_scored += rows["prob_fake"].count()
        domains.update(rows["domain"].drop_nulls().unique())
        for label, index, n in score_bins(rows).iter_rows():
            bins[label, index] += n
        picks |= _extremes(rows, n_pictures)
        for decision, n in _counts(rows["decision"]):
            facts.decisions[decision] += n
        reasons.update(dict(_counts(rows["reasons"].explode())))
        failures.update(dict(_counts(rows["score_reason"])))
        backends.update(dict(_counts(rows["backend"])))
        _add_confusion(facts.confusion, rows)
    facts.reasons = dict(reasons.most_common())
    facts.failures = dict(failures.most_common())
    facts.backends = dict(backends.most_common())
    facts.histogram = by_label(bins)
    # By id last, so that ties fall alike however the parts are cut.
    candidates = sorted(picks.values(), key=lambda row: str(row["image_id"]))
    facts.highest = sorted(candidates, key=lambda row: -row["prob_fake"])[:n_pictures]
    facts.lowest = sorted(candidates, key=lambda row: row["prob_fake"])[:n_pictures]
    facts.nearest = sorted(candidates, key=lambda row: row["distance"])[:n_pictures]
    if policy is not None and run.detector_id is not None:
        for domain in sorted(domains):
            band, _ = policy.band(run.detector_id, domain)
            if band != policy.band(run.detector_id)[0]:
                facts.bands[domain] = band
    if run.batch_id is not None:
        _add_items(facts, lake, run.batch_id)
    return facts


def _with_distance(rows: pl.DataFrame, policy: Policy | None) -> pl.DataFrame:
    if policy is None:
        flag_at = pl.lit(_MIDDLE)
    else:
        rows = with_thresholds(rows, policy)
        flag_at = pl.col("flag_at")
    distance = (pl.col("prob_fake") - flag_at).abs().cast(pl.Float64)
    return rows.with_columns(distance=distance).drop(
        "review_at", "flag_at", "is_listed", strict=False
    )


def _extremes(rows: pl.DataFrame, n: int) -> dict[str, dict[str, Any]]:
    """Return candidates by id, as plain values: a slice of a frame would keep all of it."""
    scored = rows.filter(pl.col("prob_fake").is_finite()).sort("image_id")
    return {
        row["image_id"]: row
        for best in (
            scored.sort("prob_fake", maintain_order=True, descending=True).head(n),
            scored.sort("prob_fake", maintain_order=True).head(n),
            scored.sort("distance", maintain_order=True).head(n),
        )
        for row in best.to_dicts()
    }


def _counts(column: pl.Series) -> Iterable[tuple[str, int]]:
    return column.drop_nulls().value_counts(sort=True).iter_rows()


def _add_confusion(confusion: dict[str, dict[str, int]], rows: pl.DataFrame) -> None:
    known = rows.filter(pl.col("label").is_not_null() & pl.col("decision").is_not_null())
    for label, decision, n in known.group_by("label", "decision").len().sort("label").iter_rows():
        row = confusion.setdefault(label, {name.value: 0 for name in Decision})
        row[decision] += n


def _add_items(facts: ReportFacts, lake: Lake, batch_id: str) -> None:
    statuses: Counter[str] = Counter()
    rejected: dict[str, tuple[int, list[dict[str, Any]]]] = {}
    copies = []
    for bucket in buckets(lake, "sightings"):
        rows = (
            latest_items(lake, batch_id, bucket=bucket)
            .select("source_uri", "status", "reason", "detail", "image_id")
            .collect()
            .sort("source_uri")
        )
        statuses.update(dict(_counts(rows["status"])))
        refused = rows.filter(pl.col("status") == Status.REJECTED.value)
        for (reason,), some in refused.group_by("reason"):
            n, examples = rejected.get(str(reason), (0, []))
            more = some.head(N_EXAMPLES).select("source_uri", "detail").to_dicts()
            examples = sorted(examples + more, key=lambda row: str(row["source_uri"]))
            rejected[str(reason)] = (n + some.height, examples[:N_EXAMPLES])
        same = rows.filter(pl.col("status") == Status.DUPLICATE.value)
        copies += same.head(N_COPIES).select("source_uri", "image_id").to_dicts()
    facts.statuses = dict(statuses)
    facts.rejected = dict(sorted(rejected.items(), key=lambda item: (-item[1][0], item[0])))
    facts.copies = _with_originals(lake, sorted(copies, key=lambda row: str(row["source_uri"])))


def _with_originals(lake: Lake, copies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first copies, each with where its picture was stored from."""
    copies = copies[:N_COPIES]
    first = (
        lake.scan("sightings")
        .filter(
            (pl.col("status") == Status.STORED.value)
            & pl.col("image_id").is_in([row["image_id"] for row in copies])
        )
        .select("image_id", "source_uri")
        .collect()
    )
    stored = dict(first.iter_rows())
    return [row | {"original": stored.get(row["image_id"])} for row in copies]
