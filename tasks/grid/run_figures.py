"""The figures of a run from its images in memory, as they are now, labels included."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.store.lake import Lake
from ..decide.policy import Band, Policy
from ..labels import CLASSES
from ..latest_rows import Named, latest_scores
from ..pages.histogram import by_label, score_bins
from ..report.facts import ReportFacts, add_items
from ..report.thresholds import DECISIONS, Cells, Group, grouped, steps_of
from ..runs.run_record import RunRecord
from ..views import highest_views
from .conditions import Conditions
from .facets import facets_of

# Without the rules of the run's policy, the thresholds start in the middle.
_MIDDLE = Band(review_at=0.5, flag_at=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """Figures of a run that follow from its images.

    Attributes:
        n_images: Number of images.
        n_scored: Number of images with a score.
        decisions: Number of images per decision.
        reasons: Number of images per reason of a decision; an image may have several.
        confusion: Number of labelled images per label and decision.
        histogram: Counts of scores per label; see `histogram.by_label`.
        steps: Thresholds at which decisions can be recounted, ascending.
        band: General thresholds of the policy.
        groups: Domains with their thresholds, the largest first.
        own: Whether each group has thresholds of its own in the policy.
        cells: Counts by group, kind, bin, view and label; see `thresholds.Cells`.
        failures: Number of images without a score per reason, the most frequent first.
    """

    n_images: int
    n_scored: int
    decisions: dict[str, int]
    reasons: dict[str, int]
    confusion: dict[str, dict[str, int]]
    histogram: dict[str, list[int]]
    steps: NDArray[np.float64]
    band: Band
    groups: list[Group]
    own: list[bool]
    cells: pl.DataFrame
    failures: dict[str, int] = field(default_factory=dict)


def figures_of(
    lake: Lake, run: RunRecord, policy: Policy | None, table: pl.DataFrame
) -> RunFigures:
    """Return the figures of a run.

    Args:
        lake: Lake of the run, for what the table leaves out.
        run: Record of the run.
        policy: Policy of the run; None if its rules are not available.
        table: Images of the run; see `columns.SCHEMA`.
    """
    counts = facets_of(table, Conditions())
    known = pl.col("label").cast(pl.String).is_in(CLASSES)
    rows = table.select(
        "image_id",
        "prob_fake",
        pl.col("domain").cast(pl.String),
        pl.col("decision").cast(pl.String),
        pl.when(known).then(pl.col("label").cast(pl.String)).alias("label"),
        reasons=pl.col("reasons").cast(pl.String).str.split(" "),
    )
    bands = {
        domain: _MIDDLE
        if policy is None or run.detector_id is None
        else policy.band(run.detector_id, domain)[0]
        for domain in (None, *rows["domain"].unique().drop_nulls().to_list())
    }
    steps = steps_of([_MIDDLE, *bands.values()])
    cells = Cells(policy, steps)
    cells.add(_with_views(lake, run, rows))
    groups, by_group = grouped(cells.total(), steps, bands)
    bins = {(label, index): n for label, index, n in score_bins(rows).iter_rows()}
    return RunFigures(
        n_images=table.height,
        n_scored=table["prob_fake"].count(),
        decisions={name: counts.decision.get(name, 0) for name in DECISIONS},
        reasons=counts.reason,
        confusion=_confusion(rows),
        histogram=by_label(bins),
        steps=steps,
        band=bands[None],
        groups=groups,
        own=[_has_own(run, policy, group.domain) for group in groups],
        cells=by_group,
        failures=_failures(lake, run, table),
    )


def items_of(lake: Lake, run: RunRecord) -> ReportFacts:
    """Return the numbers of items by outcome, with rejected items; empty for a whole lake."""
    facts = ReportFacts()
    if run.batch_id is not None:
        add_items(facts, lake, run.batch_id)
    return facts


def _with_views(lake: Lake, run: RunRecord, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the highest score of their tiles, null where none was scored."""
    if run.key is None or not lake.n_rows("views"):
        return rows.with_columns(view_prob=pl.lit(None, pl.Float64))
    views = highest_views(lake, run.key).collect()
    return rows.join(views, on="image_id", how="left", maintain_order="left")


def _has_own(run: RunRecord, policy: Policy | None, domain: str | None) -> bool:
    if policy is None or run.detector_id is None or domain is None:
        return False
    return policy.band(run.detector_id, domain)[1]


def _confusion(rows: pl.DataFrame) -> dict[str, dict[str, int]]:
    found = {label: dict.fromkeys(DECISIONS, 0) for label in CLASSES}
    for label, decision, n in rows.group_by("label", "decision").len().iter_rows():
        if label is not None and decision in DECISIONS:
            found[label][decision] = n
    return {label: counts for label, counts in found.items() if any(counts.values())}


def _failures(lake: Lake, run: RunRecord, table: pl.DataFrame) -> dict[str, int]:
    """Return the number of images without a score per reason; images never scored have none."""
    ids = table.filter(pl.col("prob_fake").is_null())["image_id"]
    if run.key is None or ids.is_empty():
        return {}
    rows = latest_scores(lake, run.key, part=Named(ids=tuple(ids))).select("reason").collect()
    return dict(Counter(rows["reason"].drop_nulls().to_list()).most_common())
