"""Figures of answers as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...data.text.wording import counted
from ..review.agreement.golden_answers import GoldenRecord
from ..review.agreement.pace import Pace
from ..review.stats import ReviewStats
from .table_text import Column, draw_table

_PAIRS_SHOWN: Final = 15


def draw_stats(stats: ReviewStats, *, width: int | None) -> str:
    """Return the figures as tables under headings.

    Args:
        stats: Figures of a lake.
        width: Line width in cells; None for no limit.
    """
    if not stats.answers:
        return f"{stats.lake} has no answers yet; `assay review` records and imports them"
    labels = ", ".join(f"{label} {n:,}" for label, n in stats.labels.items() if n)
    states = ", ".join(f"{state} {n:,}" for state, n in stats.appeals.items() if n) or "none"
    return "\n".join(
        [
            f"answers     {stats.answers:,} about {counted(stats.images, 'image')}: {labels}",
            f"            corrected {stats.corrected:,}, taken back {stats.taken_back:,}",
            f"two or more {counted(stats.twice, 'image')}, of which"
            f" {stats.disputed:,} are disputed",
            f"alpha       {stats.alpha.describe()}",
            f"appeals     {states}",
            "",
            _draw_reviewers(stats.paces, width),
            *_draw_pairs(stats, width),
            *_draw_golden(stats, width),
        ]
    )


def _draw_reviewers(paces: Sequence[Pace], width: int | None) -> str:
    columns = [
        Column(name="answers", is_right=True),
        Column(name="images", is_right=True, hide=3),
        Column(name="unsure", is_right=True, hide=1),
        Column(name="seconds (quartiles)", is_right=True),
        Column(name="days", is_right=True, hide=2),
        Column(name="per day", is_right=True),
        Column(name="last", hide=2),
        Column(name="reviewer"),
    ]
    rows = [
        [
            f"{pace.answers:,}",
            f"{pace.images:,}",
            f"{pace.unsure / pace.answers:.0%}",
            _quartiles(pace),
            f"{pace.days:,}",
            f"{pace.per_day_median:,.0f}",
            pace.last_day,
            pace.reviewer,
        ]
        for pace in paces
    ]
    return draw_table(columns, rows, width=width)


def _quartiles(pace: Pace) -> str:
    if pace.seconds_median is None:
        return "not timed"
    return f"{pace.seconds_median:.1f} ({pace.seconds_q1:.1f} to {pace.seconds_q3:.1f})"


def _draw_pairs(stats: ReviewStats, width: int | None) -> list[str]:
    if not stats.pairs:
        return []
    columns = [
        Column(name="images", is_right=True),
        Column(name="Cohen's kappa (95 %)"),
        Column(name="two reviewers"),
    ]
    rows = [
        [f"{pair.kappa.n_images:,}", pair.kappa.describe(), f"{pair.first}, {pair.second}"]
        for pair in stats.pairs[:_PAIRS_SHOWN]
    ]
    lines = ["", draw_table(columns, rows, width=width)]
    if (n_more := len(stats.pairs) - _PAIRS_SHOWN) > 0:
        lines.append(f"and {counted(n_more, 'more pair')}; --json has all")
    return lines


def _draw_golden(stats: ReviewStats, width: int | None) -> list[str]:
    if not stats.golden:
        return []
    if not stats.golden_records:
        return ["", f"golden      {counted(stats.golden, 'item')}, of which none is answered"]
    columns = [
        Column(name="right (95 %)"),
        Column(name="AI-generated found", hide=1),
        Column(name="others kept", hide=1),
        Column(name="unsure", is_right=True, hide=2),
        Column(name="golden items: reviewer"),
    ]
    rows = [_golden_row(record) for record in stats.golden_records]
    return ["", draw_table(columns, rows, width=width)]


def _golden_row(record: GoldenRecord) -> list[str]:
    return [
        record.right.describe(),
        record.found.describe(),
        record.kept.describe(),
        f"{record.unsure:,}",
        record.reviewer,
    ]
