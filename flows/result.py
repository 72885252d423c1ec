"""What a run came to: a value that prints itself, draws itself, and leads to its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..data.commands import command
from ..data.errors import AssayError, GateRefused, shorten
from ..data.schema import Reason

if TYPE_CHECKING:
    import polars as pl

_VALUES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderation:
    """The counts of one run, and where its rows and its report are.

    `items` = `stored` + `duplicates` + `rejected`; `unchanged` of them were known and not read
    again. `scored` and `failed` are of this run, `already_scored` of earlier ones; `decisions`
    covers all of them. `images_per_second` is of the whole run, from the first item to the end.
    `backend` and `backend_why` tell what scored and why; None where nothing was left to score.
    `detector` and `precision` are those of the scores that were decided by.
    `rejected_by_reason` has the number of rejected items per reason, the most frequent first;
    `labels_not_taken` the items whose source gives them a value that is no label, by value ("" for
    the rest of many). `example` is the id of one of the images; `again` the command that runs the
    same again, None where none can.
    """

    run_id: str
    lake: str
    batch_id: str | None = None
    items: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    unchanged: int = 0
    scored: int = 0
    failed: int = 0
    already_scored: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    images_per_second: float = 0.0
    report: str | None = None
    views: int = 0
    detector: str | None = None
    backend: str | None = None
    backend_why: str | None = None
    precision: str | None = None
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    labels_not_taken: dict[str, int] = field(default_factory=dict)
    example: str | None = None
    again: str | None = None

    @property
    def head(self) -> str:
        """What the run went over, in words."""
        if self.batch_id is None:
            return "all images of the lake"
        return f"{self.items:,} item{'' if self.items == 1 else 's'}"

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"decisions": dict(self.decisions)}

    def scores(self) -> pl.DataFrame:
        """Return one row for each image of the run, the highest score first.

        Columns: image_id, source_uri, prob_fake (float32 or null), decision, reasons (list).

        Raises:
            InputError: The lake has no record of the run.
            StoreError: The lake cannot be read.
        """
        from ..data.store.lake import Lake
        from ..tasks.report.run_record import find_run, run_images

        lake = Lake(self.lake, create=False)
        return (
            run_images(lake, find_run(lake, self.run_id))
            .select("image_id", "source_uri", "prob_fake", "decision", "reasons")
            .sort("prob_fake", "source_uri", descending=[True, False], nulls_last=True)
            .collect()
        )

    def check_rejected(self, share: float | None) -> None:
        """Raise TooManyRejected where more than `share` (0 to 1, or None) of the items were."""
        if share is not None and self.items and self.rejected / self.items > share:
            raise TooManyRejected(self, share)

    def summary(self) -> str:
        """Return about twelve lines, ending with what to do next."""
        lines = [
            f"run {self.run_id}: {self.head} in {self.seconds:,.1f} s",
            *self._counted(),
            *self._decided(),
        ]
        if self.report:
            lines.append(f"report      {self.report}")
        lines += [f"lake        {self.lake}", "next", *(f"  {line}" for line in self._next())]
        return "\n".join(lines)

    def _next(self) -> list[str]:
        """Return commands that work when they are pasted."""
        if self.items and self.rejected == self.items:
            # There is nothing to show or to publish before the sources are mended.
            again = self.again or "assay moderate --help"
            return [f"{again}  # once the sources are mended"]
        if not self.decisions:
            return [command("score", lake=self.lake)]
        shown = [command("show", self.example[:12], lake=self.lake)] if self.example else []
        return [*shown, command("publish", to="dataset", lake=self.lake)]

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from html import escape

        try:
            from .result_html import result_html

            return result_html(self.lake, self.run_id, head=self.head, counts=self.to_json())
        except AssayError as error:
            # The lake may be gone by the time a cell is drawn again; the counts are still true.
            return f"<pre>{escape(self.summary())}\n\n{escape(str(error))}</pre>"

    def _counted(self) -> list[str]:
        lines = []
        if self.batch_id is not None:
            lines.append(
                f"stored      {self.stored:>9,}   duplicates {self.duplicates:,}, "
                f"rejected {self.rejected:,}, known before {self.unchanged:,}"
            )
            lines += [
                f"  {n:>19,}   {name}: {Reason.text_of(name)}"
                for name, n in _most_first(self.rejected_by_reason)
            ]
            lines += self._not_taken()
        if self.decisions:
            lines.append(
                f"scored      {self.scored:>9,}   known before {self.already_scored:,}, "
                f"failed {self.failed:,}, {self.images_per_second:,.1f} images/s"
            )
        if self.views:
            lines.append(f"views       {self.views:>9,}   tiles scored beside the centre squares")
        if self.backend:
            by = f"{self.detector} in {self.precision} on {self.backend}"
            lines.append(f"  by        {by}: {self.backend_why}")
        return lines

    def _not_taken(self) -> list[str]:
        if not self.labels_not_taken:
            return []
        values = [pair for pair in _most_first(self.labels_not_taken) if pair[0]]
        shown = ", ".join(f'"{shorten(value, 40)}" {n:,}' for value, n in values[:_VALUES_SHOWN])
        more = "" if len(values) <= _VALUES_SHOWN and "" not in self.labels_not_taken else ", ..."
        n_items = sum(self.labels_not_taken.values())
        return [f"no label    {n_items:>9,}   named by what is no label: {shown}{more}"]

    def _decided(self) -> list[str]:
        total = sum(self.decisions.values())
        return [
            f"  {name:<10}{n:>9,}   {f'{n / total:6.1%}' if total else ''}".rstrip()
            for name, n in self.decisions.items()
        ]


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


class TooManyRejected(GateRefused):
    """A run is complete, and a larger share of its items was rejected than was allowed.

    Args:
        result: The run's counts, report and all.
        share: Allowed share, 0 to 1.
    """

    def __init__(self, result: Moderation, share: float) -> None:
        self.result = result
        self.share = share
        counts = result.rejected_by_reason
        most = max(counts, key=counts.__getitem__, default="")
        super().__init__(
            f"{result.rejected:,} of {result.items:,} items were rejected ({most}), allowed is a"
            f" share of {share:g}; everything else of the run is done and kept"
        )

    def __reduce__(self) -> tuple[type[TooManyRejected], tuple[Moderation, float]]:
        return type(self), (self.result, self.share)
