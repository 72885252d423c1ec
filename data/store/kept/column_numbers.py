"""Values of a column by number, kept on this machine per data file.

A text of hex digits, such as an id or a perceptual hash, has its last 64 bits as its number. Data
files never change, so the numbers of a large one are read once, and a lookup in a column that the
files are not sorted by goes through 8 bytes per row of a mapped file instead of the column.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...cache import cache_folder

# Smaller files are read: that takes less than a few milliseconds.
MIN_ROWS: Final = 65_536
_DIGITS: Final = 16

Numbers = NDArray[np.uint64]


class Column(NamedTuple):
    """Numbers of a column of a data file, ascending, each with the position of its row."""

    numbers: Numbers
    rows: Numbers

    def rows_with(self, wanted: Numbers) -> Numbers:
        """Return the positions of the rows that may have one of some values, by their numbers."""
        wanted = np.unique(wanted)
        begin = np.searchsorted(self.numbers, wanted, "left")
        end = np.searchsorted(self.numbers, wanted, "right")
        found = [self.rows[low:high] for low, high in zip(begin, end, strict=True) if low < high]
        return np.concatenate(found) if found else np.empty(0, np.uint64)


def numbers_of(values: pl.Series) -> Numbers:
    """Return the number of each text: its last 16 hex digits, 0 for any other text and for null."""
    digits = values.str.tail(_DIGITS)
    numbers = digits.str.to_integer(base=16, dtype=pl.UInt64, strict=False).fill_null(0)
    return numbers.to_numpy().astype(np.uint64, copy=False)


class ColumnNumbers:
    """Numbers of columns of a lake's data files; threads may share it.

    Args:
        uri: Address of the lake.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._kept: dict[tuple[str, str], Column] = {}
        self._lock = threading.Lock()

    def of(
        self,
        table: str,
        column: str,
        file: str,
        *,
        n_rows: int,
        read: Callable[[], pl.Series],
        files: Collection[str],
    ) -> Column:
        """Return the numbers of a column of a data file.

        Args:
            table: Name of the table.
            column: Name of a text column.
            file: Address of the file.
            n_rows: Number of rows of the file.
            read: Function that reads the column.
            files: Addresses of the table's files; numbers of other files are removed.
        """
        with self._lock:
            if (kept := self._kept.get((file, column))) is not None:
                return kept
            folder = cache_folder("columns", _digest(self._uri), table, column)
            path = folder / _name(file)
            found = _mapped(path, n_rows)
            if found is None:
                found = _sorted(read())
                # A cache that cannot be written is worth no failure.
                with contextlib.suppress(OSError):
                    _save(path, found)
                    _remove_others(folder, {_name(other) for other in files})
            self._kept[file, column] = found
            return found

    def keep_only(self, table: str, files: Collection[str]) -> None:
        """Remove the numbers of data files that a table does not have any more.

        Args:
            table: Name of the table.
            files: Addresses of the table's files.
        """
        names = {_name(file) for file in files}
        with self._lock:
            self._kept.clear()
            for folder in cache_folder("columns", _digest(self._uri), table).glob("*"):
                _remove_others(folder, names)


def _sorted(values: pl.Series) -> Column:
    numbers = numbers_of(values)
    rows = np.argsort(numbers, kind="stable").astype(np.uint64)
    return Column(numbers[rows], rows)


def _mapped(path: Path, n_rows: int) -> Column | None:
    try:
        both = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    if both.shape != (2, n_rows) or both.dtype != np.uint64:
        return None
    return Column(both[0], both[1])


def _save(path: Path, column: Column) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{secrets.token_hex(8)}.tmp")
    try:
        with part.open("xb") as file:
            np.save(file, np.stack(column))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _remove_others(folder: Path, names: Collection[str]) -> None:
    for path in folder.glob("*.npy"):
        if path.name not in names:
            path.unlink(missing_ok=True)


def _name(file: str) -> str:
    return f"{_digest(file)}.npy"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
