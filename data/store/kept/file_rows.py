"""Rows of data files, those of small ones read once and kept in memory.

A run asks the tables dozens of times about its images, and many small runs leave many small files.
A scan opens each of them anew, which takes longer than reading all of their rows once.
"""

from __future__ import annotations

import itertools
import operator
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import polars as pl

from ...errors import is_panic
from ..files import Store
from ..local_files import LocalStore

# A scan of larger files reads few of their row groups and columns.
MAX_FILE_BYTES: Final = 128 * 2**10
# Size of the kept files of a lake; in memory they take a few times as much.
MAX_KEPT_BYTES: Final = 4 * 2**20

_Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    mark: _Mark
    columns: tuple[str, ...]
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joined:
    parts: list[pl.DataFrame]
    rows: pl.DataFrame


class FileRows:
    """Rows of the data files of a lake's tables; threads may share it.

    Files of an object store are scanned every time, since each look at one is a request.

    Args:
        store: Store of the lake.
    """

    def __init__(self, store: Store) -> None:
        self._is_local = isinstance(store, LocalStore)
        self._options = store.storage_options or None
        self._kept: dict[str, _Kept] = {}
        self._joined: dict[str, _Joined] = {}
        self._lock = threading.Lock()

    def rows_in(
        self, files: Sequence[str], schema: pl.Schema, named: Callable[[], Sequence[str]]
    ) -> pl.LazyFrame:
        """Return the rows of data files of a table in the order of the files.

        Args:
            files: Addresses of the files as Delta encodes them, at least one.
            schema: Schema of the table; a file may lack some of its columns.
            named: Function that returns the addresses of all files of the table. Kept rows of
                other files in its folder are dropped when there is no room.
        """
        paths = _paths(files)
        small = self._small(paths, schema, named) if self._is_local else {}
        parts = [
            self._join(some, small).lazy() if is_small else self._scan(some, schema)
            for is_small, some in (
                (is_small, list(some))
                for is_small, some in itertools.groupby(paths, key=small.__contains__)
            )
        ]
        return parts[0] if len(parts) == 1 else pl.concat(parts)

    def _join(self, paths: Sequence[str], rows: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """Return the rows of files as one frame; most lookups in a table ask for the same ones."""
        parts = [rows[path] for path in paths]
        folder = paths[0].rpartition("/")[0]
        with self._lock:
            last = self._joined.get(folder)
        if last and len(last.parts) == len(parts) and all(map(operator.is_, last.parts, parts)):
            return last.rows
        joined = pl.concat(parts, rechunk=True)
        with self._lock:
            self._joined[folder] = _Joined(parts=parts, rows=joined)
        return joined

    def _small(
        self, paths: Sequence[str], schema: pl.Schema, named: Callable[[], Sequence[str]]
    ) -> dict[str, pl.DataFrame]:
        """Return the rows of the small ones of some files."""
        columns = tuple(schema.names())
        marks = {path: mark for path in paths if (mark := _mark_of(path)) is not None}
        with self._lock:
            found = {path: self._kept.get(path) for path in marks}
        rows = {
            path: kept.rows
            for path, kept in found.items()
            # A file may be written again under its name, and a table may get columns.
            if kept is not None and kept.mark == marks[path] and kept.columns == columns
        }
        new = {path: mark for path, mark in marks.items() if path not in rows}
        if not new:
            return rows
        n_bytes = sum(size for size, *_ in new.values())
        if not self._has_room(n_bytes):
            self._drop_unnamed(_paths(named()))
            if not self._has_room(n_bytes):
                return rows
        return rows | self._read(new, schema)

    def _read(self, marks: Mapping[str, _Mark], schema: pl.Schema) -> dict[str, pl.DataFrame]:
        """Read files and keep their rows; return none if one cannot be read."""
        scans = [self._scan([path], schema) for path in marks]
        try:
            rows = dict(zip(marks, pl.collect_all(scans), strict=True))
        except BaseException as error:
            if not isinstance(error, (pl.exceptions.PolarsError, OSError)) and not is_panic(error):
                raise
            return {}  # the caller's scan of the file fails, as that of a large one would
        # Of a file that was replaced meanwhile, the earlier rows may have been read.
        rows = {path: some for path, some in rows.items() if _mark_of(path) == marks[path]}
        columns = tuple(schema.names())
        with self._lock:
            for path, some in rows.items():
                self._kept[path] = _Kept(mark=marks[path], columns=columns, rows=some)
        return rows

    def _scan(self, paths: list[str], schema: pl.Schema) -> pl.LazyFrame:
        return pl.scan_parquet(
            paths,
            schema=schema,
            missing_columns="insert",
            glob=False,
            storage_options=self._options,
        )

    def _has_room(self, n_bytes: int) -> bool:
        with self._lock:
            return sum(kept.mark[0] for kept in self._kept.values()) + n_bytes <= MAX_KEPT_BYTES

    def _drop_unnamed(self, named: Sequence[str]) -> None:
        """Drop kept rows of files in the folder of a table that the table does not name."""
        names, folders = set(named), {Path(path).parent for path in named}
        with self._lock:
            self._kept = {
                path: kept
                for path, kept in self._kept.items()
                if path in names or Path(path).parent not in folders
            }


def _paths(files: Sequence[str]) -> list[str]:
    """Return addresses that Delta percent-encoded as paths, or addresses of objects."""
    return [unquote(file.removeprefix("file://")) for file in files]


def _mark_of(path: str) -> _Mark | None:
    """Return what changes with a small file; None for a large or missing one."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - of a thousand per run, a Path costs more than the look
    except OSError:
        return None
    if stat.st_size > MAX_FILE_BYTES:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
