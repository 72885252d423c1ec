"""Rows and tables of a query as text for a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import polars as pl
from rich.cells import cell_len, set_cell_size

from ...data.text.wording import counted
from .query import describe_tables
from .table_text import Column, draw_table

_CELLS: Final = 48
_VALUES_SHOWN: Final = 4


def draw_rows(rows: pl.DataFrame, n_rows: int, *, width: int | None) -> str:
    """Return rows as a table, with the total.

    Args:
        rows: Rows to show.
        n_rows: Number of all rows.
        width: Line width in cells; None for no limit.
    """
    last = len(rows.columns) - 1
    columns = [
        Column(
            name=name or '""',
            is_right=kind.is_numeric() and number != last,
            hide=number if number != last else 0,
        )
        for number, (name, kind) in enumerate(rows.schema.items())
    ]
    cells = [
        [_cell(value, width if number != last else None) for number, value in enumerate(row)]
        for row in rows.iter_rows()
    ]
    count = counted(n_rows, "row")
    if rows.height < n_rows:
        count = f"{rows.height:,} of {count}; --limit shows more, --to FILE writes all"
    return "\n".join([draw_table(columns, cells, width=width), count])


def draw_tables(*, width: int | None) -> str:
    """Return the tables of a query: the meaning of a row, and columns with types and texts.

    Args:
        width: Line width in cells; None for no limit.
    """
    parts = []
    for name, text, columns in describe_tables():
        widths = [max(len(row[part]) for row in columns) for part in (0, 1)]
        lines = [f"{name}: {text}"]
        for column, kind, what in columns:
            line = f"  {column:<{widths[0]}}  {kind:<{widths[1]}}  {what}"
            lines.append(line if width is None or cell_len(line) <= width else _cut(line, width))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def tables_json() -> dict[str, Any]:
    """Return the tables of a query as plain values."""
    return {
        name: {
            "row": text,
            "columns": [
                {"name": column, "type": kind, "text": what} for column, kind, what in columns
            ],
        }
        for name, text, columns in describe_tables()
    }


def _cell(value: Any, width: int | None) -> str:
    text = _text(value)
    return text if width is None or cell_len(text) <= _CELLS else _cut(text, _CELLS)


def _cut(text: str, cells: int) -> str:
    return set_cell_size(text, cells - 1).rstrip() + "…"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, list):
        shown = ", ".join(map(_text, value[:_VALUES_SHOWN]))
        return f"{shown}, ... ({len(value)})" if len(value) > _VALUES_SHOWN else shown or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return str(value)
