"""Text tables that fit the width of a terminal; columns are hidden before lines would break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, chop_cells

from ..pages.captions import visible

_GAP: Final = "  "
# Of the last column: the width for which other columns are hidden, and the least.
_WANTED_CELLS: Final = 24
_LEAST_CELLS: Final = 8
_ELLIPSIS: Final = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Column of a text table.

    Attributes:
        name: Heading.
        is_right: Whether its cells are aligned right.
        hide: Rank among the columns to hide if the table is too wide, the highest first and
            columns of one rank together; 0 for a column that is never hidden. The last column
            never is.
    """

    name: str
    is_right: bool = False
    hide: int = 0


def draw_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int | None
) -> str:
    """Return a table with one line per row; a last line names hidden columns.

    The last column takes the remaining width. Its texts are cut at the start, since the end of a
    URI tells more.

    Args:
        columns: Columns, in order.
        rows: Texts of the cells; may be untrusted.
        width: Line width in cells; None for no limit.
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
    hidden = [column.name for number, column in enumerate(columns) if number not in shown]
    if hidden:
        lines.append(f"hidden on this width: {', '.join(hidden)}; --json prints all")
    return "\n".join(lines)


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int | None) -> list[int]:
    """Return the indexes of the columns that fit, the last one at least in part."""
    shown = list(range(len(columns)))
    for rank in sorted({column.hide for column in columns} - {0}, reverse=True):
        needed = sum(widths[n] + len(_GAP) for n in shown[:-1]) + min(widths[-1], _WANTED_CELLS)
        if width is None or needed <= width:
            break
        shown = [n for n in shown if columns[n].hide != rank]
    return shown


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def _padded(text: str, width: int, *, is_right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if is_right else text + blanks


def _end_of(text: str, room: int | None) -> str:
    """Return the end of a text within a number of cells, with a mark of the cut."""
    if room is None or cell_len(text) <= room:
        return text
    reversed_parts = chop_cells(text[::-1], room - 1)
    return _ELLIPSIS + reversed_parts[0][::-1]
