"""What decides at any two thresholds, counted by steps of the score, exactly at every step.

A score is counted in the step that it lies in: from that threshold inclusive, to the next one
exclusive. Thresholds and scores are compared as float32, as `decide` compares them. The steps are
0.0001 wide, and the thresholds of the run's own policy are steps too, so that the counts there are
those of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.schema import Label
from ..decide.policy import Band, Policy

N_STEPS: Final = 10_000
KINDS: Final = (Label.REAL.value, Label.FAKE.value, Label.LAUNDERED.value, "none")
"""Labels that are counted apart; disputed and unsure ones are counted as `none`."""
MAX_PAIRS: Final = 50_000
"""Largest number of pairs of score and tile that a summary holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Numbers of images by what decides them.

    Attributes:
        steps: Thresholds in ascending order, from 0 to 1.
        band: Thresholds of the policy.
        judged: Number of images per step, by label: those that their score alone decides.
        raised: Number of images per step, by label: those that go to review instead of clear.
        fixed: Number of images by label that go to review whatever their score.
        tiles: Step of the score, step of the highest tile and number of images, for images of
            `judged` whose tile lies in a higher step. None if there are more than `MAX_PAIRS`.
    """

    steps: NDArray[np.float64]
    band: Band
    judged: Mapping[str, NDArray[np.int64]]
    raised: Mapping[str, NDArray[np.int64]]
    fixed: Mapping[str, int]
    tiles: NDArray[np.int64] | None

    def as_json(self) -> dict[str, Any]:
        """Return the summary as plain values; of the counts, only those that are not 0."""
        return {
            "steps": N_STEPS,
            "own_steps": [self.band.review_at, self.band.flag_at],
            "judged": {name: _sparse(counts) for name, counts in self.judged.items()},
            "raised": {name: _sparse(counts) for name, counts in self.raised.items()},
            "fixed": dict(self.fixed),
            "tiles": None if self.tiles is None else self.tiles.ravel().tolist(),
        }


def summary_of(
    table: pl.DataFrame, policy: Policy, *, detector: str, domain: str | None = None
) -> Summary:
    """Return the summary of the images that one pair of thresholds decides.

    Args:
        table: Columns prob_fake, label, domain, width_px, height_px, ai_declared, doubt and
            view_prob (highest probability of a tile, or null).
        policy: Policy with the rules beside the thresholds.
        detector: Id of the detector.
        domain: Domain; None for the images whose domain has no thresholds of its own.
    """
    band, _ = policy.band(detector, domain)
    rows = table.filter(in_domain(table, policy, detector=detector, domain=domain))
    steps = np.unique([*(np.arange(N_STEPS + 1) / N_STEPS), band.review_at, band.flag_at])
    short_px = pl.min_horizontal(
        pl.col("width_px").fill_null(-1), pl.col("height_px").fill_null(-1)
    )
    is_fixed = pl.col("prob_fake").is_null() | (short_px < policy.min_short_edge_px)
    if policy.unlisted_domain == "review" and domain is None:
        is_fixed |= pl.col("domain").is_not_null()
    declared = pl.col("ai_declared").cast(pl.String).str.strip_chars().fill_null("") != ""
    facts = rows.select(
        "prob_fake",
        "view_prob",
        label=pl.col("label").cast(pl.String),
        is_fixed=is_fixed,
        is_raised=declared | pl.col("doubt").is_not_null(),
    )
    judged: dict[str, NDArray[np.int64]] = {}
    raised: dict[str, NDArray[np.int64]] = {}
    fixed: dict[str, int] = {}
    for kind in KINDS:
        is_kind = ~pl.col("label").is_in(KINDS[:-1]) if kind == "none" else pl.col("label") == kind
        some = facts.filter(is_kind.fill_null(value=kind == "none"))
        fixed[kind] = int(some["is_fixed"].sum())
        free = some.filter(~pl.col("is_fixed"))
        judged[kind] = _per_step(steps, free.filter(~pl.col("is_raised")))
        raised[kind] = _per_step(steps, free.filter("is_raised"))
    return Summary(
        steps=steps,
        band=band,
        judged=judged,
        raised=raised,
        fixed=fixed,
        tiles=_tiles(steps, facts),
    )


def in_domain(table: pl.DataFrame, policy: Policy, *, detector: str, domain: str | None) -> pl.Expr:
    """Return the condition on the images that the thresholds of a domain decide.

    Args:
        table: Table with the column domain.
        policy: Policy with the thresholds.
        detector: Id of the detector.
        domain: Domain; None for the images whose domain has no thresholds of its own.
    """
    if domain is not None:
        return (pl.col("domain") == domain).fill_null(value=False)
    own = [
        name
        for name in table["domain"].unique().drop_nulls().to_list()
        if policy.band(detector, name)[1]
    ]
    return ~pl.col("domain").is_in(own).fill_null(value=False)


def steps_of(steps: NDArray[np.float64], values: pl.Series) -> NDArray[np.intp]:
    """Return the step of each score; a score below the first threshold is in the first step."""
    edges = steps.astype(np.float32)
    at = np.searchsorted(edges, values.cast(pl.Float32).to_numpy(), side="right") - 1
    return np.maximum(at, 0)


def _per_step(steps: NDArray[np.float64], rows: pl.DataFrame) -> NDArray[np.int64]:
    return np.bincount(steps_of(steps, rows["prob_fake"]), minlength=len(steps)).astype(np.int64)


def _tiles(steps: NDArray[np.float64], facts: pl.DataFrame) -> NDArray[np.int64] | None:
    some = facts.filter(
        ~pl.col("is_fixed") & ~pl.col("is_raised") & pl.col("view_prob").is_finite()
    )
    low, high = steps_of(steps, some["prob_fake"]), steps_of(steps, some["view_prob"])
    pairs = np.stack([low, high], axis=1)[high > low]
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    if len(found) > MAX_PAIRS:
        return None
    return np.column_stack([found, counts]).astype(np.int64).reshape(-1, 3)


def _sparse(counts: NDArray[np.int64]) -> list[int]:
    """Return steps and counts in turn, without the zeros."""
    steps = np.flatnonzero(counts)
    pairs: list[int] = np.column_stack([steps, counts[steps]]).ravel().tolist()
    return pairs
