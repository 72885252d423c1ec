"""Drift of the images that a run scored, against earlier ones: of all its sources, and of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from ...data.errors import shorten
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.text.wording import counted
from .compare import Comparison, Drift, compare
from .groups import divided
from .populations import SOURCE, of_run_and_earlier, reader_of_vectors

_ALL: Final = ""
_SOURCE_CHARS: Final = 200
_SOURCES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFigures:
    """A comparison in numbers.

    Attributes:
        verdict: Value of `Drift`.
        measures: Distance by name of each measure that has shifted.
        images_before: Number of earlier images.
        images_after: Number of later images.
    """

    verdict: str
    measures: Mapping[str, float]
    images_before: int
    images_after: int

    @classmethod
    def of(cls, comparison: Comparison, **more: Any) -> Self:
        """Return the figures of a comparison.

        Args:
            comparison: Comparison of two populations.
            **more: Further fields of the class.
        """
        return cls(
            verdict=comparison.drift.value,
            measures={
                one.name: round(one.distance, 4)
                for one in comparison.measures
                if one.name in comparison.shifted
            },
            images_before=comparison.n_before,
            images_after=comparison.n_after,
            **more,
        )

    @property
    def distance(self) -> float:
        """Largest distance of a measure that has shifted; 0 without one."""
        return max(self.measures.values(), default=0.0)

    def text(self) -> str:
        """Return the verdict, the measures and the numbers of images in one line."""
        moved = ", ".join(f"{name} {distance:.2f}" for name, distance in self.measures.items())
        return (
            f"{Drift.text_of(self.verdict)}{f' ({moved})' if moved else ''};"
            f" {counted(self.images_after, 'image')} against"
            f" {counted(self.images_before, 'earlier one')}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDrift(DriftFigures):
    """Drift of one source of a run.

    Attributes:
        source: Folder, archive or address above the images.
    """

    source: str

    def text(self) -> str:
        """Return the source and its figures in one line."""
        return f"{shorten(self.source, _SOURCE_CHARS)}: {DriftFigures.text(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDrift(DriftFigures):
    """Drift of a run; its own figures are those of all images.

    Attributes:
        limit: Smallest distance that counts as a shift.
        sources: Sources that have shifted, that with the largest distance first.
        sources_compared: Number of sources that were compared each; 0 if a single one has all
            images, or none has enough.
    """

    limit: float
    sources: tuple[SourceDrift, ...] = ()
    sources_compared: int = 0

    @property
    def has_drifted(self) -> bool:
        """Whether anything has shifted, in all images or in a source."""
        return self.verdict != Drift.NONE.value or bool(self.sources)

    def to_json(self) -> dict[str, Any]:
        """Return the values as JSON-ready ones."""
        return asdict(self) | {"sources": [asdict(one) for one in self.sources]}

    def lines(self) -> list[str]:
        """Return the figures of all images, then those of sources that have shifted, as text."""
        shown = [one.text() for one in self.sources[:_SOURCES_SHOWN]]
        if (rest := len(self.sources) - len(shown)) > 0:
            shown.append(f"and {counted(rest, 'more source')}")
        return [f"{DriftFigures.text(self)} of the same sources", *shown]


def drift_of_record(counts: Mapping[str, Any]) -> list[str]:
    """Return the lines of the drift in the record of a run; none without a comparison.

    Args:
        counts: Counts of the run by name.
    """
    values = counts.get("drift")
    if not isinstance(values, Mapping):
        return []
    try:
        # Versions up to 0.2.0 compared no sources.
        sources = tuple(SourceDrift(**one) for one in values.get("sources", ()))
        return RunDrift(**{**values, "sources": sources}).lines()
    except (TypeError, AttributeError, ValueError):
        return []  # another version of assay has written it


def drift_of_run(
    lake: Lake, key: ScoreKey, *, run_id: str, batch_id: str | None, limit: float
) -> RunDrift | None:
    """Compare the images that a run scored with earlier ones, as a whole and per source.

    One correction covers the tests of all comparisons. Compared each are the ten largest sources
    with enough images on both sides, unless one source has all images.

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
    pairs, n_left_out = divided(populations.before, populations.after, SOURCE)
    if len(pairs) == 1 and not n_left_out:
        pairs = {}
    whole = {_ALL: (populations.before, populations.after)}
    found = compare(whole | pairs, reader_of_vectors(lake, key), limit=limit)
    shifted = [
        SourceDrift.of(found[source], source=source)
        for source in pairs
        if found[source].drift is not Drift.NONE
    ]
    shifted.sort(key=lambda one: -one.distance)
    return RunDrift.of(
        found[_ALL], limit=limit, sources=tuple(shifted), sources_compared=len(pairs)
    )
