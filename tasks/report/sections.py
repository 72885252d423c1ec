"""The sections of a report beyond its counts, gathered in the pass of `facts.gather`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.store.lake import Lake
from ...data.vocabulary import Decision, Label
from ..decide.open_policy import open_policy
from ..decide.policy import Band, Policy
from ..latest_rows import Part
from ..promise.promise import Promise, promise_of
from ..runs.run_record import RunRecord
from ..views import highest_views
from .domains import DomainRow, Domains
from .grid import GridRows, grid_rows
from .pairs import Pair, Pairs
from .sample import RowSample
from .thresholds import Cells, Group, grouped, steps_of

N_MISTAKES: Final = 10
_SIZES: Final = ("width_px", "height_px", "n_bytes")
_KEPT: Final[dict[str, Any]] = {
    "image_id": pl.String,
    "source_uri": pl.String,
    "domain": pl.String,
    "prob_fake": pl.Float32,
    "decision": pl.String,
    "reasons": pl.List(pl.String),
    "label": pl.String,
    "width_px": pl.Int32,
    "height_px": pl.Int32,
    "n_bytes": pl.Int64,
}
_MAX_POLICY_CHARS: Final = 100_000
# Without the rules of the run's policy, the slider starts in the middle.
_MIDDLE: Final = Band(review_at=0.5, flag_at=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """What the page shows beside `ReportFacts`.

    Attributes:
        steps: Thresholds of the slider, ascending.
        groups: Domains of the slider with their thresholds.
        own: Whether each group has thresholds of its own in the policy.
        policies: Policy file per group with two thresholds left open ("" where there are too many),
            and the last one for images without thresholds of their own; empty without the rules of
            the policy.
        cells: Counts by group, kind, bin, view and label; see `thresholds.Cells`.
        band: General thresholds at which the slider starts.
        domains: Figures per domain.
        grid: Rows of the grid.
        flag_at: Flag threshold per domain of the grid.
        n_images: Number of images from which the rows of the grid are taken.
        mistakes: Rows whose decision contradicts their label: flagged images that are not fake,
            the highest scores first, and cleared fakes, the lowest scores first, in turn.
        all_images: All rows by descending score, if there are few; else none.
        pairs: Images that assay made, beside their parents.
        n_pairs: Number of such images per method.
        promise: Promise of the thresholds; None without decisions, or without the rules of the
            policy.
    """

    steps: NDArray[np.float64]
    groups: list[Group]
    own: list[bool]
    policies: list[str]
    cells: pl.DataFrame
    band: Band
    domains: list[DomainRow]
    grid: GridRows
    flag_at: list[float]
    n_images: int
    mistakes: list[dict[str, Any]] = field(default_factory=list)
    all_images: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    n_pairs: dict[str, int] = field(default_factory=dict)
    promise: Promise | None = None


class Collector:
    """The sections of one run, from its images part by part."""

    def __init__(self, lake: Lake, run: RunRecord, policy: Policy | None) -> None:
        """Start without images.

        Args:
            lake: Lake of the run.
            run: Record of the run.
            policy: Policy of the decisions; None if its rules are not available.
        """
        self._lake = lake
        self._run = run
        self._policy = policy
        self._steps = steps_of([_MIDDLE, *_bands(policy)])
        self._cells = Cells(policy, self._steps)
        self._domains = Domains()
        self._sample = RowSample(_KEPT)
        self._pairs = Pairs(lake, run)
        self._mistakes: list[pl.DataFrame] = []

    def add(self, part: Part, rows: pl.DataFrame) -> None:
        """Add the images of a part.

        Args:
            part: Part of the images of the run.
            rows: Rows of `run_images`.
        """
        sizes = part.rows(self._lake, "images").select("image_id", *_SIZES).unique("image_id")
        rows = rows.lazy().join(sizes, on="image_id", how="left").collect()
        if self._run.key is None:
            rows = rows.with_columns(view_prob=pl.lit(None, pl.Float64))
        else:
            views = highest_views(self._lake, self._run.key, part=part)
            rows = rows.lazy().join(views, on="image_id", how="left").collect()
        self._cells.add(rows)
        self._domains.add(rows)
        self._pairs.add(part, rows)
        rows = rows.select(pl.col(name).cast(kind) for name, kind in _KEPT.items())
        self._sample.add(rows)
        self._mistakes += [_flagged_others(rows), _cleared_fakes(rows)]

    def sections(self, shown: list[dict[str, Any]], *, all_up_to: int) -> Sections:
        """Return the sections.

        Args:
            shown: Rows of `run_images` with a thumbnail, which the grid has in any case.
            all_up_to: Largest number of images with a score of which all are shown.
        """
        cells = self._cells.total()
        bands = {domain: self._band(domain) for domain in cells["domain"].unique().to_list()}
        groups, by_group = grouped(cells, self._steps, bands)
        mistakes = self._worst()
        rows = self._sample.rows(self._with_sizes(shown, mistakes))
        scored = rows.filter(pl.col("prob_fake").is_finite())
        few = self._sample.n_images == rows.height and scored.height <= all_up_to
        best_first = scored.sort("prob_fake", "image_id", descending=[True, False])
        grid = grid_rows(rows)
        return Sections(
            steps=self._steps,
            groups=groups,
            own=[self._has_own(group.domain) for group in groups],
            policies=self._policies(groups),
            cells=by_group,
            band=self._band(None),
            domains=self._domains.rows(),
            grid=grid,
            flag_at=[self._band(domain).flag_at for domain in grid.domains],
            n_images=self._sample.n_images,
            mistakes=mistakes.to_dicts(),
            all_images=best_first.to_dicts() if few else [],
            pairs=self._pairs.pairs(),
            n_pairs=self._pairs.n_pairs,
            promise=self._promise(),
        )

    def _promise(self) -> Promise | None:
        if self._policy is None or self._run.key is None:
            return None
        return promise_of(self._lake, self._policy, self._run.key)

    def _band(self, domain: str | None) -> Band:
        if self._policy is None or self._run.detector_id is None:
            return _MIDDLE
        return self._policy.band(self._run.detector_id, domain)[0]

    def _has_own(self, domain: str | None) -> bool:
        if self._policy is None or self._run.detector_id is None or domain is None:
            return False
        return self._policy.band(self._run.detector_id, domain)[1]

    def _policies(self, groups: list[Group]) -> list[str]:
        policy, detector = self._policy, self._run.detector_id
        if policy is None or detector is None:
            return []
        general = open_policy(policy, detector=detector, domain=None)
        # With thresholds for hundreds of domains, a file per domain would fill the page.
        if len(general) * len(groups) > _MAX_POLICY_CHARS:
            return [*("" for _ in groups), general]
        own = [open_policy(policy, detector=detector, domain=group.domain) for group in groups]
        return [*own, general]

    def _worst(self) -> pl.DataFrame:
        """Return flagged images that are not fake and cleared fakes, in turn."""
        kinds = [pl.concat(self._mistakes[kind::2]) for kind in (0, 1) if self._mistakes]
        chosen = [
            best(rows).with_row_index("turn")
            for best, rows in zip((_flagged_others, _cleared_fakes), kinds, strict=False)
        ]
        if not chosen:
            return pl.DataFrame(schema=_KEPT)
        return pl.concat(chosen).sort("turn", maintain_order=True).drop("turn")

    def _with_sizes(self, shown: list[dict[str, Any]], mistakes: pl.DataFrame) -> pl.DataFrame:
        """Return the shown rows with the columns of the sample."""
        if not shown:
            return mistakes
        ids = [row["image_id"] for row in shown]
        sizes = self._lake.rows_of("images", ids).select("image_id", *_SIZES).unique("image_id")
        schema = {name: kind for name, kind in _KEPT.items() if name not in _SIZES}
        rows = pl.DataFrame([{name: row[name] for name in schema} for row in shown], schema=schema)
        whole = rows.lazy().join(sizes, on="image_id", how="left").collect().select(list(_KEPT))
        return pl.concat([whole, mistakes])


def _bands(policy: Policy | None) -> list[Band]:
    """Return every pair of thresholds that a policy has."""
    if policy is None:
        return []
    bands = [policy.default]
    for rules in policy.detectors.values():
        bands += [*([rules.band] if rules.band else []), *rules.domains.values()]
    return bands


def _flagged_others(rows: pl.DataFrame) -> pl.DataFrame:
    wrong = (pl.col("decision") == Decision.FLAG.value) & (pl.col("label") != Label.FAKE.value)
    return (
        rows.filter(wrong).sort("prob_fake", "image_id", descending=[True, False]).head(N_MISTAKES)
    )


def _cleared_fakes(rows: pl.DataFrame) -> pl.DataFrame:
    wrong = (pl.col("decision") == Decision.CLEAR.value) & (pl.col("label") == Label.FAKE.value)
    return rows.filter(wrong).sort("prob_fake", "image_id").head(N_MISTAKES)
