"""Which of some values a column has, for steps that ask a thousand times.

The first questions about a large table read what may hold the values, see `lookup`. A process
that goes on asking reads the column once and keeps a hash of 64 bits per value, so that an ingest
of a million images neither reads the ids of the lake for every chunk nor for every image.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .lookup import rows_of

if TYPE_CHECKING:
    from .tables import Tables

# Beyond these, reading the column once costs less than the questions.
MAX_QUESTIONS: Final = 20
MAX_VALUES: Final = 500

# Rows whose values are read in the time of one question, so that small tables are read at once.
ROWS_PER_QUESTION: Final = 50_000

# Bounds the values that are in memory at once; they take ten times as much as their hashes.
FILES_AT_A_TIME: Final = 4

_Hashes = NDArray[np.uint64]


class KnownValues:
    """Values of one column of a table; threads may share it.

    Args:
        tables: Tables of the lake.
        table: Name of the table.
        column: Name of a text column.
    """

    def __init__(self, tables: Tables, table: str, column: str) -> None:
        self._tables = tables
        self._table = table
        self._column = column
        self._n_questions = 0
        self._files: frozenset[str] = frozenset()
        self._hashes: list[_Hashes] = []
        self._lock = threading.Lock()

    def among(self, values: Sequence[str], version: int | None = None) -> set[str]:
        """Return those of some values that the column has.

        Args:
            values: Values to look for.
            version: Version of the table; None for the latest. A value of a later version that
                this process has seen may be returned too.

        Raises:
            StoreError: The table cannot be read.
        """
        wanted = pl.Series(self._column, values, dtype=pl.String).unique()
        with self._lock:
            self._n_questions += 1
            is_kept = self._n_questions > self._max_questions() or len(wanted) > MAX_VALUES
            if is_kept:
                self._load(version)
            hashes = list(self._hashes) if is_kept else None
        if hashes is not None:
            wanted = wanted.filter(pl.Series(_are_among(hash_values(wanted), hashes)))
        if wanted.is_empty():
            return set()
        rows = rows_of(self._tables, self._table, wanted, column=self._column, version=version)
        return set(rows.select(self._column).collect()[self._column])

    def _max_questions(self) -> int:
        """Return the number of questions that cost less than reading the column."""
        return min(MAX_QUESTIONS, self._tables.n_rows(self._table) // ROWS_PER_QUESTION)

    def _load(self, version: int | None) -> None:
        """Read the hashes of the files that are new in a version."""
        files = frozenset(self._tables.files(self._table, version))
        if not self._files <= files:  # merged into others
            self._files, self._hashes = frozenset(), []
        if new := sorted(files - self._files):
            for begin in range(0, len(new), FILES_AT_A_TIME):
                some = new[begin : begin + FILES_AT_A_TIME]
                rows = self._tables.rows_in(self._table, some, version)
                values = rows.select(self._column).drop_nulls().collect()[self._column]
                self._add(np.sort(hash_values(values)))
            self._files = files

    def _add(self, hashes: _Hashes) -> None:
        # Arrays of similar length are merged, so that there are few.
        while self._hashes and len(self._hashes[-1]) < 2 * len(hashes):
            hashes = np.sort(np.concatenate([self._hashes.pop(), hashes]))
        self._hashes.append(hashes)


def hash_values(values: pl.Series) -> _Hashes:
    """Return hashes of values, equal for equal values in one process."""
    hashes: _Hashes = values.hash(seed=7).to_numpy()
    return hashes


def _are_among(wanted: _Hashes, hashes: Sequence[_Hashes]) -> NDArray[np.bool_]:
    found = np.zeros(len(wanted), dtype=bool)
    for some in hashes:
        places = np.minimum(np.searchsorted(some, wanted), len(some) - 1)
        if len(some):
            found |= some[places] == wanted
    return found
