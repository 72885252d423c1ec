"""The figures of a report, counted part by part so that memory does not grow with the lake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from ...data.store.lake import Lake
from ...data.vocabulary import Decision, Status
from ..decide.decide import with_thresholds
from ..decide.policy import Band, Policy
from ..latest_rows import ROWS_AT_A_TIME, Part, latest_of_items, parts_of, rows_of_batch
from ..pages.histogram import by_label, score_bins
from ..runs.run_record import RunRecord, ids_of_run, run_images

N_IMAGES: Final = 12
N_EXAMPLES: Final = 5
N_COPIES: Final = 10
# Flag threshold for "nearest" when the rules of the run's policy are not available.
_MIDDLE: Final = 0.5


@dataclass(slots=True, kw_only=True)
class ReportFacts:
    """Figures of the report, without the run's record and without thumbnails.

    Attributes:
        n_images: Number of images of the run.
        n_scored: Number of images with a score, in this run or an earlier one.
        statuses: Number of items per `Status`.
        decisions: Number of images per `Decision`.
        reasons: Number of images per `DecisionReason`; an image may have several.
        failures: Number of images without a score per `Reason`, the most frequent first.
        backends: Number of scored images per backend.
        confusion: Number of labelled images per label and decision.
        histogram: Counts of scores per label; see `by_label`.
        rejected: Number of rejected items per `Reason` and up to `N_EXAMPLES` examples with
            source_uri and detail, the most frequent reason first.
        copies: Up to `N_COPIES` duplicates, each with the address of the stored original.
        bands: Thresholds per domain, for the domains of the run that have their own.
        highest: Rows with the highest scores, in descending order.
        nearest: Rows with the scores nearest to their flag threshold.
        lowest: Rows with the lowest scores, in ascending order.
    """

    n_images: int = 0
    n_scored: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    backends: dict[str, int] = field(default_factory=dict)
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    histogram: dict[str, list[int]] = field(default_factory=dict)
    rejected: dict[str, tuple[int, list[dict[str, Any]]]] = field(default_factory=dict)
    copies: list[dict[str, Any]] = field(default_factory=list)
    bands: dict[str, Band] = field(default_factory=dict)
    highest: list[dict[str, Any]] = field(default_factory=list)
    nearest: list[dict[str, Any]] = field(default_factory=list)
    lowest: list[dict[str, Any]] = field(default_factory=list)


def gather(
    lake: Lake,
    run: RunRecord,
    policy: Policy | None,
    *,
    n_images: int = N_IMAGES,
    also: Callable[[Part, pl.DataFrame], None] | None = None,
) -> ReportFacts:
    """Return the figures of a run; one part of the batch is in memory at a time.

    Args:
        lake: Lake of the run.
        run: Record of the run.
        policy: Policy with the flag thresholds; None measures the distance to 0.5.
        n_images: Number of rows in each of `highest`, `nearest` and `lowest`, at most.
        also: Function that is called with each part and its rows of `run_images`, for further
            figures from the same pass; None for none.

    Raises:
        StoreError: The lake cannot be read.
    """
    facts = ReportFacts(decisions={decision.value: 0 for decision in Decision})
    bins: Counter[tuple[str, int]] = Counter()
    picks: dict[str, dict[str, Any]] = {}
    reasons: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    backends: Counter[str] = Counter()
    domains: set[str] = set()
    for part in parts_of(lake, ids_of_run(lake, run)):
        rows = run_images(lake, run, part=part).collect()
        if also is not None:
            also(part, rows)
        rows = _with_distance(rows, policy)
        facts.n_images += rows.height
        facts.n_scored += rows["prob_fake"].count()
        domains.update(rows["domain"].drop_nulls().unique())
        for label, index, n in score_bins(rows).iter_rows():
            bins[label, index] += n
        picks |= _extremes(rows, n_images)
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
    # Sorted by id first, so that ties do not depend on the number of parts.
    candidates = sorted(picks.values(), key=lambda row: str(row["image_id"]))
    facts.highest = sorted(candidates, key=lambda row: -row["prob_fake"])[:n_images]
    facts.lowest = sorted(candidates, key=lambda row: row["prob_fake"])[:n_images]
    facts.nearest = sorted(candidates, key=lambda row: row["distance"])[:n_images]
    if policy is not None and run.detector_id is not None:
        for domain in sorted(domains):
            band, _ = policy.band(run.detector_id, domain)
            if band != policy.band(run.detector_id)[0]:
                facts.bands[domain] = band
    if run.batch_id is not None:
        add_items(facts, lake, run.batch_id)
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
    """Return candidates by id as plain values, since a slice would keep the whole frame alive."""
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


def add_items(facts: ReportFacts, lake: Lake, batch_id: str) -> None:
    """Add the numbers of items of a batch, rejected items and duplicates to the figures."""
    statuses: Counter[str] = Counter()
    rejected: dict[str, tuple[int, list[dict[str, Any]]]] = {}
    copies = []
    sightings = rows_of_batch(lake, batch_id)
    n_rows = int(sightings.select(pl.len()).collect().item())
    n_parts = max(1, -(-n_rows // ROWS_AT_A_TIME))
    for index in range(n_parts):
        # Divided first: polars' own joins partition by the remainder of the hash itself.
        is_here = (pl.col("source_uri").hash(seed=7) // 1024) % n_parts == index
        rows = (
            latest_of_items(sightings if n_parts == 1 else sightings.filter(is_here))
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
    """Return the first copies, each with the address from which its image was stored."""
    copies = copies[:N_COPIES]
    if not copies:
        return []
    first = (
        lake.rows_of("sightings", [row["image_id"] for row in copies])
        .filter(pl.col("status") == Status.STORED.value)
        .select("image_id", "source_uri")
        .collect()
    )
    stored = dict(first.iter_rows())
    return [row | {"original": stored.get(row["image_id"])} for row in copies]
