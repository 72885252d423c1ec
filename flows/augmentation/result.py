"""Result of a plan: counts, evasion table, next commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ...data.commands import command
from ...data.text.wording import counted
from ...tasks.evasion.table import table_text
from ..results.moderation import Moderation

_REASONS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Result of a plan: its run, the counts of its images, and the evasion table."""

    moderation: Moderation
    made: int
    known: int
    failed: int
    equal: int
    evasion_report: str
    table: pl.DataFrame
    failures: tuple[tuple[str, int], ...] = ()
    """Reasons why images could not be generated, each with its count, most frequent first."""

    @property
    def paths(self) -> list[str]:
        """Paths of the evasion report, the report and the lake."""
        return [self.evasion_report, *self.moderation.paths]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return self.moderation.to_json() | {
            "made": self.made,
            "known": self.known,
            "not_made": self.failed,
            "not_made_because": [{"detail": detail, "images": n} for detail, n in self.failures],
            "equal": self.equal,
            "evasion_report": self.evasion_report,
            "evasion": list(self.table.iter_rows(named=True)),
        }

    def summary(self) -> str:
        """Return the counts, the table, the paths and the next command."""
        run_ = self.moderation
        return "\n".join(
            [
                f"run {run_.run_id}: {counted(self.made, 'image')} made, {self.known:,}"
                " already made, "
                f"{self.failed:,} failed, {self._equal()}in {run_.seconds:,.1f} s",
                *self._failed(),
                "",
                table_text(self.table),
                "",
                "An AI-generated image evades if its score is below the review threshold.",
                f"pairs       {self.evasion_report}",
                f"report      {run_.report}",
                f"lake        {run_.lake}",
                "next",
                f"  {command('publish', to='dataset', lake=run_.lake)}",
            ]
        )

    def _repr_html_(self) -> str:
        from html import escape

        cell = self.moderation._repr_html_()
        return f"<pre>{escape(self.summary())}</pre>\n{cell}"

    def _failed(self) -> list[str]:
        """Return the reasons why images could not be generated, the most frequent first."""
        lines = [f"not made    {n:,}: {detail}" for detail, n in self.failures[:_REASONS_SHOWN]]
        if rest := self.failures[_REASONS_SHOWN:]:
            lines.append(
                f"            {sum(n for _, n in rest):,} for other reasons; see the sightings "
                "with reason not_made"
            )
        return lines

    def _equal(self) -> str:
        return f"{counted(self.equal, 'duplicate job')} skipped, " if self.equal else ""

    def __str__(self) -> str:
        return self.summary()
