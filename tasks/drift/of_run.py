"""Drift of the images that a run scored, against earlier ones of the same sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from .compare import Comparison, Drift
from .populations import of_run_and_earlier
from .report import drift_report


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDrift:
    """A comparison in numbers and words of its own, without text from outside.

    Attributes:
        verdict: Value of `Drift`.
        measures: Distance by name of each measure that has shifted.
        limit: Smallest distance that counts as a shift.
        images_before: Number of earlier images.
        images_after: Number of later images.
    """

    verdict: str
    measures: Mapping[str, float]
    limit: float
    images_before: int
    images_after: int

    @property
    def has_drifted(self) -> bool:
        """Whether anything has shifted."""
        return self.verdict != Drift.NONE.value

    def to_json(self) -> dict[str, Any]:
        """Return the values as JSON-ready ones."""
        return asdict(self) | {"measures": dict(self.measures)}

    def text(self) -> str:
        """Return the verdict, the measures and the numbers of images in one line."""
        moved = ", ".join(f"{name} {distance:.2f}" for name, distance in self.measures.items())
        return (
            f"{Drift.text_of(self.verdict)}{f' ({moved})' if moved else ''}; {self.images_after:,}"
            f" images against {self.images_before:,} earlier ones of the same sources"
        )


def summary_of(comparison: Comparison, *, limit: float) -> RunDrift:
    """Return a comparison without its charts and tests.

    Args:
        comparison: Comparison of two populations.
        limit: Smallest distance that counted as a shift.
    """
    return RunDrift(
        verdict=comparison.drift.value,
        measures={
            one.name: round(one.distance, 4)
            for one in comparison.measures
            if one.name in comparison.shifted
        },
        limit=limit,
        images_before=comparison.n_before,
        images_after=comparison.n_after,
    )


def drift_of_run(
    lake: Lake, key: ScoreKey, *, run_id: str, batch_id: str | None, limit: float
) -> RunDrift | None:
    """Compare the images that a run scored with earlier ones of the same sources.

    Args:
        lake: Lake of the run.
        key: Key of the run's scores.
        run_id: Id of the run.
        batch_id: Batch of the run; None for the whole lake.
        limit: Smallest distance of a measure that counts as a shift, 0 to 1.

    Returns:
        The drift; None with too few images on either side.

    Raises:
        StoreError: The lake cannot be read.
    """
    populations = of_run_and_earlier(lake, key, run_id=run_id, batch_id=batch_id)
    if populations is None:
        return None
    (found,) = drift_report(lake, populations, limit=limit).comparisons.values()
    return summary_of(found, limit=limit)
