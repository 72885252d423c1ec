"""Effects of a command: what it would read and write, as counts and paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

# The plural of what is counted, such as `rows of images` or `stored images to score`.
_PLURAL: Final = re.compile(
    r"^((?:\w+ )?(?:answer|file|hash|image|item|lease|report|row|shard))e?s\b"
)


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect of a command.

    Attributes:
        count: Number of things, an upper bound if `at_most`.
        what: Noun in the plural, such as `images`.
        where: Path or address.
        at_most: Whether the count is an upper bound.
    """

    count: int
    what: str
    where: str
    at_most: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the effect as plain values."""
        return {
            "count": self.count,
            "what": self.what,
            "where": self.where,
            "at_most": self.at_most,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Effects of a command that has not been run."""

    reads: Sequence[Effect] = ()
    writes: Sequence[Effect] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the effects as plain values."""
        return {
            "dry_run": True,
            "reads": [effect.to_json() for effect in self.reads],
            "writes": [effect.to_json() for effect in self.writes],
        }

    def summary(self) -> str:
        """Return the effects as text, one line each."""
        rows = [_cells(effect) for effect in (*self.reads, *self.writes)]
        widths = [max((len(row[at]) for row in rows), default=0) for at in (0, 1)]
        lines = ["dry run: nothing is changed"]
        for title, effects in (("would read", self.reads), ("would write", self.writes)):
            lines.append(title if effects else f"{title} nothing")
            for count, what, where in map(_cells, effects):
                lines.append(f"  {count:>{widths[0]}}  {what:<{widths[1]}}  {where}")
        return "\n".join(lines)


def _cells(effect: Effect) -> tuple[str, str, str]:
    """Return an effect as count, noun and place."""
    bound = "at most " if effect.at_most and effect.count else ""
    # `to_json` has the plural whatever the count, for programs.
    what = _PLURAL.sub(r"\1", effect.what) if effect.count == 1 else effect.what
    return f"{bound}{effect.count:,}", what, effect.where
