"""Rows of some images, or with some other values of a column, without reading the whole table.

Files are left out by the bounds in the table's log, row groups by the bounds in their footers,
and of the rest only the column itself is read before the rows. So the cost of a lookup in a table
whose files are sorted by the column follows the number of values; `schema.SORTED_BY` names the
column of each table. In another column, large files are left out by its numbers, which this machine
keeps (`column_numbers`). In any other order, the whole column is read, and the rows are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import SORTED_BY
from .kept.column_numbers import Numbers, numbers_of

if TYPE_CHECKING:
    from .tables import Tables

# A filter by a list skips row groups, a join by a hash table does not, but is faster from here on.
MANY: Final = 5_000
# Rows so near to each other in a file are read at once: they mostly share a row group.
_NEAR_ROWS: Final = 4_096
# Files of at most as many rows are read together, up to this number.
_FILES_TOGETHER: Final = 16
# Of a file with rows in more places, the column is read.
_MAX_SPANS: Final = 32
_MAX_WIDE: Final = 200


def rows_of(
    tables: Tables,
    table: str,
    values: pl.Series | Sequence[str],
    *,
    column: str = "image_id",
    version: int | None = None,
) -> pl.LazyFrame:
    """Return the rows with one of some values in a column, in the order of the table.

    Args:
        tables: Tables of the lake.
        table: Name of the table.
        values: Values to look for; nulls match nothing.
        column: Name of a text column.
        version: Version of the table; None for the latest.

    Raises:
        MissingVersion: The version does not exist, or its log was removed.
        StoreError: There is no such table, or it cannot be read.
    """
    wanted = pl.Series(column, values, dtype=pl.String).drop_nulls().unique()
    # Settled once: whether a version is the latest is asked of the store.
    version = tables.version(table) if version is None else version
    files = tables.files_with(table, column, wanted, version)
    if len(wanted) > MANY:
        rows = tables.rows_in(table, files, version)
        return rows.join(wanted.to_frame().lazy(), on=column, how="semi", maintain_order="left")
    if column == SORTED_BY[table][0]:
        rows = tables.rows_in(table, files, version)
    else:
        rows = _by_numbers(tables, table, files, wanted, version)
    return rows.filter(pl.col(column).is_in(wanted.to_list()))


def wide_rows_of(
    tables: Tables, table: str, values: Sequence[str], columns: Sequence[str]
) -> pl.DataFrame:
    """Return columns of the rows of some images, where columns such as embeddings are large.

    Parquet readers decode such a column of all row groups that may have one of the values. So the
    rows are found first, and their columns are read at their positions.

    Args:
        tables: Tables of the lake.
        table: Name of the table.
        values: Ids of the images.
        columns: Names of the columns to return.

    Raises:
        StoreError: There is no such table, or it cannot be read.
    """
    wanted = pl.Series("image_id", values, dtype=pl.String).drop_nulls().unique()
    if len(wanted) > _MAX_WIDE:
        return rows_of(tables, table, wanted).select(columns).collect()
    version = tables.version(table)
    parts = [tables.rows_in(table, [], version).select(columns).collect()]
    for file in tables.files_with(table, "image_id", wanted, version):
        rows = tables.rows_in(table, [file], version)
        mine = rows.with_row_index("at").filter(pl.col("image_id").is_in(wanted.to_list()))
        at = mine.select("at").collect()["at"]
        if len(at):
            parts.append(rows_at(rows.select(columns), at.to_numpy().astype(np.uint64)))
    return pl.concat(parts)


def numbers_by_files(
    tables: Tables, table: str, column: str, version: int | None = None
) -> Iterator[tuple[list[str], Numbers, Numbers | None]]:
    """Yield data files with the numbers of a column, see `column_numbers`; small files together.

    Args:
        tables: Tables of the lake.
        table: Name of the table.
        column: Name of a text column.
        version: Version of the table; None for the latest.

    Yields:
        Addresses of the files, numbers, and the positions of their rows; None: in order.

    Raises:
        StoreError: The table cannot be read.
    """
    together: list[str] = []
    alone: list[str] = []
    for file in tables.files(table, version):
        kept = tables.kept_numbers(table, column, file, version)
        if kept is not None:
            yield [file], kept.numbers, kept.rows
        else:
            is_small = 0 < tables.n_rows_of(table, file, version) <= _NEAR_ROWS
            (together if is_small else alone).append(file)
    for files in [*([file] for file in alone), *_batches(together)]:
        rows = tables.rows_in(table, files, version).select(column).collect()
        yield files, numbers_of(rows[column]), None


def _batches(files: list[str]) -> Iterator[list[str]]:
    return (files[at : at + _FILES_TOGETHER] for at in range(0, len(files), _FILES_TOGETHER))


def rows_at(rows: pl.LazyFrame, positions: Numbers) -> pl.DataFrame:
    """Return the rows of data files at some positions, in order, reading little else.

    Args:
        rows: Rows of the files, as a scan with the columns to read.
        positions: Positions from 0, in any order.
    """
    at = np.sort(positions).astype(np.int64)
    # One by one: polars would read a scan that several share as a whole.
    parts = [rows.slice(low, high - low).collect() for low, high in _spans(at)]
    if not parts:
        return rows.head(0).collect()
    begin = np.cumsum([0, *(part.height for part in parts)])
    wanted = [
        at[(at >= low) & (at < high)] - low + begin[number]
        for number, (low, high) in enumerate(_spans(at))
    ]
    return pl.concat(parts)[np.concatenate(wanted)]


def _by_numbers(
    tables: Tables, table: str, files: Sequence[str], wanted: pl.Series, version: int | None
) -> pl.LazyFrame:
    """Return rows of files, all with some values among them, in the order of the table."""
    numbers = numbers_of(wanted)
    parts: list[pl.LazyFrame] = []
    whole: list[str] = []
    for file in files:
        kept = tables.kept_numbers(table, wanted.name, file, version)
        spans = None if kept is None else _spans(np.sort(kept.rows_with(numbers)).astype(np.int64))
        if spans is None or len(spans) > _MAX_SPANS:
            whole.append(file)
        elif spans:
            if whole:
                parts.append(tables.rows_in(table, whole, version))
                whole = []
            rows = tables.rows_in(table, [file], version)
            parts += [rows.slice(low, high - low) for low, high in spans]
    if whole or not parts:
        parts.append(tables.rows_in(table, whole, version))
    return pl.concat(parts)


def _spans(at: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return begin and end of the spans of ascending positions that are near to each other."""
    breaks = np.flatnonzero(np.diff(at) > _NEAR_ROWS) + 1
    return [(int(near[0]), int(near[-1]) + 1) for near in np.split(at, breaks) if len(near)]
