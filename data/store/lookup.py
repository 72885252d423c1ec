"""Rows of some images, or with some other values of a column, without reading the whole table.

Files are left out by the bounds in the table's log, row groups by the bounds in their footers,
and of the rest only the column itself is read before the rows. So the cost of a lookup in a table
whose files are sorted by the column follows the number of values; `schema.SORTED_BY` names the
column of each table. In any other order, and in another column, the whole column is read, and the
rows are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from .tables import Tables

# A filter by a list skips row groups, a join by a hash table does not, but is faster from here on.
MANY: Final = 5_000


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
    rows = tables.rows_with(table, column, wanted, version)
    if len(wanted) > MANY:
        return rows.join(wanted.to_frame().lazy(), on=column, how="semi", maintain_order="left")
    return rows.filter(pl.col(column).is_in(wanted.to_list()))
