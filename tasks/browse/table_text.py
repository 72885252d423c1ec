"""Rows as a table of text that fits a terminal: columns are left out before lines are broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, chop_cells

from ..pages.captions import visible

_GAP: Final = "  "
_LEAST_CELLS: Final = 24
_ELLIPSIS: Final = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Column of a table.

    Attributes:
        name: Heading.
        is_right: Whether its cells end flush, as numbers do.
        leave_out: Rank among the columns to leave out where the table is too wide: the highest
            first, those of one rank together; 0 for a column that always stays, as the last does.
    """

    name: str
    is_right: bool = False
    leave_out: int = 0


def draw_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int | None
) -> str:
    """Return a table, a line per row; where columns are left out, a last line names them.

    The last column takes the cells that are left, and its texts are shortened at their
    beginning, since the end of a URI tells more.

    Args:
        columns: Columns, in order.
        rows: Texts of the cells, which may come from outside.
        width: Cells of a line; None for as many as needed.
    """
    cells = [[_one_line(cell) for cell in row] for row in rows]
    widths = [
        max([cell_len(column.name), *(cell_len(row[number]) for row in cells)])
        for number, column in enumerate(columns)
    ]
    shown = _fitting(columns, widths, width)
    *inner, last = shown
    room = None
    if width is not None:
        room = max(_LEAST_CELLS, width - sum(widths[number] + len(_GAP) for number in inner))
    lines = []
    for row in [[column.name for column in columns], *cells]:
        parts = [_padded(row[n], widths[n], is_right=columns[n].is_right) for n in inner]
        lines.append(_GAP.join([*parts, _end_of(row[last], room)]).rstrip())
    left_out = [column.name for number, column in enumerate(columns) if number not in shown]
    if left_out:
        lines.append(f"left out for want of width: {', '.join(left_out)}; --json has all")
    return "\n".join(lines)


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int | None) -> list[int]:
    """Return the numbers of the columns that fit, of the last one at least a part."""
    shown = list(range(len(columns)))
    for rank in sorted({column.leave_out for column in columns} - {0}, reverse=True):
        needed = sum(widths[n] + len(_GAP) for n in shown[:-1]) + min(widths[-1], _LEAST_CELLS)
        if width is None or needed <= width:
            break
        shown = [n for n in shown if columns[n].leave_out != rank]
    return shown


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def _padded(text: str, width: int, *, is_right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if is_right else text + blanks


def _end_of(text: str, room: int | None) -> str:
    """Return the end of a text that fits into a number of cells, with a mark of the cut."""
    if room is None or cell_len(text) <= room:
        return text
    reversed_parts = chop_cells(text[::-1], room - 1)
    return _ELLIPSIS + reversed_parts[0][::-1]
