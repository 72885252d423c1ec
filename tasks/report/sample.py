"""A bounded sample of a run's images, equally many per decision and domain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import polars as pl

MAX_ROWS: Final = 100_000
_STRATUM: Final = ("decision", "domain")


class RowSample:
    """All rows up to a number; beyond it, equally many of each decision and domain.

    In each stratum the rows with the smallest ids are kept. Ids are hashes of the images' bytes, so
    that this is a random sample that is the same in every report. At most twice the number of rows
    and one part is in memory.
    """

    def __init__(self, schema: Mapping[str, Any], max_rows: int = MAX_ROWS) -> None:
        """Start without rows.

        Args:
            schema: Types of the columns by name, among them image_id, decision and domain.
            max_rows: Largest number of rows of the sample.
        """
        self._max_rows = max_rows
        self._kept = pl.DataFrame(schema=schema)
        self.n_images = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Offer rows; each image is offered once.

        Args:
            rows: Rows with the columns of the sample, and maybe others.
        """
        self.n_images += rows.height
        kept = pl.concat([self._kept, rows.select(self._kept.columns)])
        # The level of a stratum only falls as rows are added, so that no row left out here would
        # be in the sample of all.
        self._kept = _levelled(kept, self._max_rows)

    def rows(self, also: pl.DataFrame | None = None) -> pl.DataFrame:
        """Return the sample in order of ids.

        Args:
            also: Further rows to be in it, of the same columns; None for none.
        """
        kept = self._kept
        if also is not None and also.height:
            kept = pl.concat([kept, also.select(kept.columns)]).unique("image_id", keep="first")
        return kept.sort("image_id")


def _levelled(rows: pl.DataFrame, max_rows: int) -> pl.DataFrame:
    if rows.height <= max_rows:
        return rows
    level = _level(rows.group_by(_STRATUM).len()["len"].to_list(), max_rows)
    if level == 0:  # more strata than rows
        return rows.sort("image_id").head(max_rows)
    rank = pl.col("image_id").rank("ordinal").over(_STRATUM)
    return rows.filter(rank <= level)


def _level(sizes: Collection[int], total: int) -> int:
    """Return the largest number per stratum with which all strata together have at most `total`."""
    left, strata = total, len(sizes)
    for size in sorted(sizes):
        if size * strata > left:
            return left // strata
        left -= size
        strata -= 1
    return max(sizes, default=0)
