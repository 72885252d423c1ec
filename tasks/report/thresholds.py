"""Counts from which a page can tell the decisions under other thresholds, exactly, at fixed steps.

The rule is that of `decide`: images that their score cannot judge keep their decision; others are
flagged at or above one threshold, go to review at or above the other one, or if their metadata, a
doubt or a tile's score raises them, and are clear otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.vocabulary import Decision, DecisionReason, Label
from ..decide.policy import Band, Policy
from ..pages.histogram import UNLABELLED

MAX_GROUPS: Final = 60
OTHER: Final = "other domains"
NO_DOMAIN: Final = "no domain"
LABELS: Final = (Label.REAL.value, Label.FAKE.value, Label.LAUNDERED.value, UNLABELLED)
DECISIONS: Final = tuple(decision.value for decision in Decision)
# Kinds of a cell: a decision that no threshold changes, or one of two kinds that the score decides.
FREE: Final = len(DECISIONS)
RAISED: Final = FREE + 1

_NEAR_ZERO: Final = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.007)
_BY_SCORE: Final = (
    DecisionReason.AT_OR_ABOVE_FLAG,
    DecisionReason.IN_REVIEW_BAND,
    DecisionReason.BELOW_REVIEW,
)
_RAISING: Final = (DecisionReason.DECLARED_AI, DecisionReason.NOT_AS_SEEN)
_CELL: Final = ("domain", "kind", "bin", "view", "label", "decision")
CELL_COLUMNS: Final = ("group", *_CELL[1:], "n")
"""Columns of the cells of `grouped`, as the script of the sliders reads them."""


def steps_of(bands: Sequence[Band]) -> NDArray[np.float64]:
    """Return the thresholds of the slider: hundredths, finer ones at both ends, and the given ones.

    Args:
        bands: Thresholds that must be among the steps.

    Returns:
        Ascending distinct thresholds from 0 to 1.
    """
    near = {step for low in _NEAR_ZERO for step in (low, round(1 - low, 4))}
    given = {edge for band in bands for edge in (band.review_at, band.flag_at)}
    return np.array(sorted({*(k / 100 for k in range(101)), *near, *given}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Images of one domain, or of several small ones with the same thresholds.

    Attributes:
        name: Domain, `no domain` or `other domains`.
        n_images: Number of decided images.
        review_step: Index of the review threshold among the steps.
        flag_step: Index of the flag threshold among the steps.
        domain: Domain; None if the group has no domain or several.
    """

    name: str
    n_images: int
    review_step: int
    flag_step: int
    domain: str | None


class Cells:
    """Counts of decided images that behave alike under every pair of steps."""

    def __init__(self, policy: Policy | None, steps: NDArray[np.float64]) -> None:
        """Start without images.

        Args:
            policy: Policy of the decisions; None if its rules are not available.
            steps: Ascending thresholds.
        """
        self._policy = policy
        # Decisions compare scores and thresholds as float32.
        self._edges = steps.astype(np.float32)
        self._counted: list[pl.DataFrame] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Count images.

        Args:
            rows: Columns domain, prob_fake, view_prob, decision, reasons and label; rows without a
                decision are left out.
        """
        rows = rows.filter(pl.col("decision").is_in(DECISIONS))
        cells = rows.select(
            pl.col("domain").cast(pl.String),
            kind=self._kind(),
            bin=pl.Series(self._bins(rows["prob_fake"]), dtype=pl.UInt16),
            view=pl.Series(self._bins(rows["view_prob"]), dtype=pl.UInt16),
            label=label_index(),
            decision=_decision_index(),
        )
        # A decision that no threshold changes needs no bin.
        fixed = pl.col("kind") < FREE
        cells = cells.with_columns(
            pl.when(fixed).then(pl.lit(0, pl.UInt16)).otherwise(name).alias(name)
            for name in ("bin", "view")
        )
        self._counted.append(cells.group_by(_CELL).agg(n=pl.len()))

    def total(self) -> pl.DataFrame:
        """Return columns domain (null: none), kind, bin, view, label, decision and n.

        Label and decision are indices into `LABELS` and `DECISIONS`; the decision is the run's.

        An image is at or above step k if its bin is greater than k; so is its highest tile if its
        view is. View 0 is no view.
        """
        if not self._counted:
            return pl.DataFrame(schema=_SCHEMA)
        return pl.concat(self._counted).group_by(_CELL).agg(pl.col("n").sum()).sort(_CELL)

    def _bins(self, probs: pl.Series) -> NDArray[np.int64]:
        """Return the number of steps at or below each score; 0 without a score."""
        values = probs.cast(pl.Float32).fill_null(-1.0).fill_nan(-1.0).to_numpy()
        return np.searchsorted(self._edges, values, side="right")

    def _kind(self) -> pl.Expr:
        def has(*reasons: DecisionReason) -> pl.Expr:
            words = [reason.value for reason in reasons]
            return pl.col("reasons").list.set_intersection(words).list.len().fill_null(0) > 0

        decided = pl.col("decision")
        to_people = pl.lit(value=False)
        if self._policy is not None and self._policy.unlisted_domain == "review":
            to_people = has(DecisionReason.NO_DOMAIN_THRESHOLD)
        # A rule of a later version may stand above the score. A band that may not flag alone does
        # not: other thresholds may.
        overruled = (
            has(DecisionReason.AT_OR_ABOVE_FLAG)
            & (decided != Decision.FLAG.value)
            & ~has(DecisionReason.UNCALIBRATED)
        )
        unexplained = (
            has(DecisionReason.BELOW_REVIEW)
            & (decided == Decision.REVIEW.value)
            & ~has(DecisionReason.VIEW_ABOVE_FLAG)
        )
        # Hashes and groups decide alone; a graphic or an image out of domain is not flagged at any
        # threshold.
        ruled = has(
            DecisionReason.KNOWN_HASH,
            DecisionReason.GRAPHIC,
            DecisionReason.OUT_OF_DOMAIN,
            DecisionReason.GROUP_OF_REVIEWED,
            DecisionReason.DECIDED_BY_GROUP,
        )
        fixed = ~has(*_BY_SCORE) | ruled | to_people | overruled
        return (
            pl.when(fixed)
            .then(_decision_index())
            .when(has(*_RAISING) | unexplained)
            .then(RAISED)
            .otherwise(FREE)
            .cast(pl.UInt8)
        )


_SCHEMA: Final = {
    "domain": pl.String,
    "kind": pl.UInt8,
    "bin": pl.UInt16,
    "view": pl.UInt16,
    "label": pl.UInt8,
    "decision": pl.UInt8,
    "n": pl.UInt32,
}


def _decision_index() -> pl.Expr:
    decided = pl.col("decision").cast(pl.String)
    return decided.replace_strict(DECISIONS, range(FREE), default=0).cast(pl.UInt8)


def label_index() -> pl.Expr:
    """Return the index of each row's label in `LABELS`, as uint8."""
    known = LABELS[:-1]
    return (
        pl.col("label")
        .cast(pl.String)
        .replace_strict(known, range(len(known)), default=len(known))
        .cast(pl.UInt8)
    )


def grouped(
    cells: pl.DataFrame, steps: NDArray[np.float64], bands: Mapping[str | None, Band]
) -> tuple[list[Group], pl.DataFrame]:
    """Return the groups of the slider, the largest domains first, and the cells by group.

    Args:
        cells: Table of `Cells.total`.
        steps: Ascending thresholds.
        bands: Thresholds per domain of the cells, with None for images without a domain.

    Returns:
        Groups, and the cells with the column group (index, uint8) in place of domain.
    """
    sizes = (
        cells.group_by("domain")
        .agg(pl.col("n").sum())
        .sort("n", "domain", descending=[True, False], nulls_last=True)
    )
    n_images: dict[tuple[str, str | None, int, int], int] = {}
    group_of: dict[str | None, int] = {}
    for domain, n in sizes.iter_rows():
        band = bands[domain]
        has_own = len(n_images) < MAX_GROUPS
        name = NO_DOMAIN if domain is None else domain
        key = (
            name if has_own else OTHER,
            domain if has_own else None,
            _step(steps, band.review_at),
            _step(steps, band.flag_at),
        )
        n_images[key] = n_images.get(key, 0) + n
        group_of[domain] = list(n_images).index(key)
    made = [
        Group(name=name, domain=domain, n_images=n, review_step=review, flag_step=flag)
        for (name, domain, review, flag), n in n_images.items()
    ]
    keys = pl.DataFrame(
        {"domain": list(group_of), "group": list(group_of.values())},
        schema={"domain": pl.String, "group": pl.UInt16},
    )
    by_group = (
        cells.join(keys, on="domain", how="left", nulls_equal=True)
        .group_by(CELL_COLUMNS[:-1])
        .agg(pl.col("n").sum())
        .sort(CELL_COLUMNS[:-1])
    )
    return made, by_group


def _step(steps: NDArray[np.float64], edge: float) -> int:
    return int(np.searchsorted(steps, edge))
