"""Counts of one run, and their summary as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from ...data.commands import command
from ...data.errors import shorten
from ...data.text.wording import counted
from ...data.vocabulary import Reason
from ...tasks.rejections import remedy_of

if TYPE_CHECKING:
    from ...tasks.drift.of_run import RunDrift

_VALUES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """Counts of one run, and the addresses of its rows and its report.

    `items` = `stored` + `duplicates` + `rejected`; `unchanged` of them were known and not read
    again. `scored` and `failed` count images of this run, `already_scored` those of earlier runs;
    `decisions` covers all. `images_per_second` refers to the whole run, from the first item to the
    end. `backend` and `backend_why` name the backend and the reason for its choice, None if nothing
    was left to score. `detector` and `precision` are those of the scores behind the decisions.
    `rejected_by_reason` counts the rejected items per reason, the most frequent first;
    `labels_not_taken` counts the items per value of their source that is not a label ("" for the
    rest of many values). `drift` compares the images of this run with earlier ones, None without
    `drift_limit` or with too few images. `example` is the id of one of the images; `again` is the
    command that repeats the run, None if there is none.
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
    deliveries: int = 0
    detector: str | None = None
    backend: str | None = None
    backend_why: str | None = None
    precision: str | None = None
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    labels_not_taken: dict[str, int] = field(default_factory=dict)
    example: str | None = None
    again: str | None = None
    drift: RunDrift | None = None

    @property
    def head(self) -> str:
        """Scope of the run, as text."""
        if self.batch_id is None:
            return "all images of the lake"
        return counted(self.items, "item")

    @property
    def paths(self) -> list[str]:
        """Paths of the report, if any, and the lake."""
        return [*([self.report] if self.report else []), self.lake]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return values | {
            "decisions": dict(self.decisions),
            "drift": self.drift and self.drift.to_json(),
        }

    @property
    def flagged_share(self) -> float:
        """Share of flagged images among the decided ones, in [0, 1]; 0 without decisions."""
        decided = sum(self.decisions.values())
        return self.decisions.get("flag", 0) / decided if decided else 0.0

    def is_flagged_above(self, share: float | None) -> bool:
        """Return whether the share of flagged images exceeds a limit; None is no limit."""
        return share is not None and self.flagged_share > share

    @property
    def has_drifted(self) -> bool:
        """Whether the images of the run differ from earlier ones by more than the limit."""
        return self.drift is not None and self.drift.has_drifted

    def is_rejected_above(self, share: float | None) -> bool:
        """Return whether the share of rejected items exceeds a limit; None is no limit."""
        return share is not None and self.items > 0 and self.rejected / self.items > share

    def summary(self) -> str:
        """Return the counts, the paths and the next commands, in about twelve lines."""
        lines = [
            f"run {self.run_id}: {self.head} in {self.seconds:,.1f} s",
            *self._counted(),
            *self._decided(),
        ]
        if self.drift:
            whole, *sources = self.drift.lines()
            lines += [f"drift       {whole}", *(f"  {line}" for line in sources)]
        if self.report:
            lines.append(f"report      {self.report}")
        lines += [f"lake        {self.lake}", "next", *(f"  {line}" for line in self._next())]
        return "\n".join(lines)

    def _next(self) -> list[str]:
        """Return the next commands, ready to run."""
        if self.items and self.rejected == self.items:
            # Nothing can be shown or published before the sources are corrected.
            again = self.again or "assay moderate --help"
            return [f"{again}  # after correcting the sources"]
        if not self.decisions:
            return [command("score", lake=self.lake)]
        shown = [command("show", self.example[:12], lake=self.lake)] if self.example else []
        flagged = []
        if self.decisions.get("flag"):
            flagged = [command("export", decision="flag", to="flagged.csv", lake=self.lake)]
        return [*shown, *flagged, command("publish", to="dataset", lake=self.lake)]

    def __str__(self) -> str:
        return self.summary()

    def _counted(self) -> list[str]:
        lines = []
        if self.batch_id is not None:
            lines.append(
                f"stored      {self.stored:>9,}   duplicates {self.duplicates:,}, "
                f"rejected {self.rejected:,}; {self.unchanged:,} of them unchanged"
            )
            for name, n in most_first(self.rejected_by_reason):
                lines.append(f"  {n:>19,}   {name}: {Reason.text_of(name)}")
                lines.append(f"{'':24}{remedy_of(name)}")
            lines += self._not_taken()
        if self.decisions:
            lines.append(
                f"scored      {self.scored:>9,}   already scored {self.already_scored:,}, "
                f"failed {self.failed:,}, {self.images_per_second:,.1f} images/s"
            )
        if self.views:
            lines.append(f"views       {self.views:>9,}   tiles scored in addition to the centre")
        if self.deliveries:
            lines.append(f"deliveries  {self.deliveries:>9,}   scored to see which flags hold")
        if self.backend:
            by = f"{self.detector} in {self.precision} on {self.backend}"
            lines.append(f"  by        {by}: {self.backend_why}")
        return lines

    def _not_taken(self) -> list[str]:
        if not self.labels_not_taken:
            return []
        values = [pair for pair in most_first(self.labels_not_taken) if pair[0]]
        shown = ", ".join(f'"{shorten(value, 40)}" {n:,}' for value, n in values[:_VALUES_SHOWN])
        more = "" if len(values) <= _VALUES_SHOWN and "" not in self.labels_not_taken else ", ..."
        n_items = sum(self.labels_not_taken.values())
        return [f"no label    {n_items:>9,}   value is not a label: {shown}{more}"]

    def _decided(self) -> list[str]:
        total = sum(self.decisions.values())
        return [
            f"  {name:<10}{n:>9,}   {f'{n / total:6.1%}' if total else ''}".rstrip()
            for name, n in self.decisions.items()
        ]


def most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return names and counts, the largest count first."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
