"""What a plan came to: counts, the table of who evades, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ...data.commands import command
from ...tasks.evasion.table import table_text
from ..result import Moderation

_REASONS_TOLD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What a plan came to: the run, its pictures, and who evades."""

    moderation: Moderation
    made: int
    known: int
    failed: int
    equal: int
    evasion_report: str
    table: pl.DataFrame
    failures: tuple[tuple[str, int], ...] = ()
    """Why pictures could not be made, and how many each time, most first."""

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return self.moderation.to_json() | {
            "made": self.made,
            "known": self.known,
            "not_made": self.failed,
            "not_made_because": [{"detail": detail, "pictures": n} for detail, n in self.failures],
            "equal": self.equal,
            "evasion_report": self.evasion_report,
            "evasion": list(self.table.iter_rows(named=True)),
        }

    def summary(self) -> str:
        """Return the table, the counts, the paths and what to do next."""
        run_ = self.moderation
        return "\n".join(
            [
                f"run {run_.run_id}: {self.made:,} pictures made, {self.known:,} known before, "
                f"{self.failed:,} failed, {self._equal()}in {run_.seconds:,.1f} s",
                *self._failed(),
                "",
                table_text(self.table),
                "",
                "Machine-made pictures evade when they score below the review threshold.",
                f"pairs       {self.evasion_report}",
                f"report      {run_.report}",
                f"lake        {run_.lake}",
                "next",
                f"  {command('publish', to='dataset', lake=run_.lake)}",
            ]
        )

    def _failed(self) -> list[str]:
        """Return why pictures could not be made, the most frequent reasons first."""
        told = [f"not made    {n:,}: {detail}" for detail, n in self.failures[:_REASONS_TOLD]]
        if rest := self.failures[_REASONS_TOLD:]:
            told.append(
                f"            {sum(n for _, n in rest):,} for other reasons; see the sightings "
                "with the reason not_made"
            )
        return told

    def _equal(self) -> str:
        return f"{self.equal:,} asked for twice and made once, " if self.equal else ""

    def __str__(self) -> str:
        return self.summary()
