"""Opened versions of tables, kept until the table has a newer one.

Opening a Delta table reads its log. A run asks for the latest version of several tables many
times, so an opening is kept, and a look at the log tells whether it is still the latest:
its entry is unchanged, and there is no entry of the next version.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from .damage import LOG
from .files import Store
from .local_files import LocalStore

_Mark = tuple[int, ...] | None


class Snapshot:
    """One version of a table, with its data files and their bounds.

    Args:
        opened: Table at that version; nobody moves it to another one.

    Attributes:
        opened: The table.
        version: Version of the table.
    """

    def __init__(self, opened: DeltaTable) -> None:
        self.opened = opened
        self.version: int = opened.version()

    @property
    def n_rows(self) -> list[int | None]:
        """Number of rows per data file; None where the log does not say."""
        counts: list[int | None] = self._files.column("num_records").to_pylist()
        return counts

    def n_rows_of(self, address: str) -> int:
        """Return the number of rows of a data file; 0 where the log does not say."""
        return self._n_rows_by_name.get(_name_in(address), 0)

    def may_have_nulls(self, column: str) -> bool:
        """Return whether a column may have nulls; True where the log does not say."""
        name = f"null_count.{column}"
        if name not in self._files.column_names:
            return bool(self._files.num_rows)
        return any(n_nulls != 0 for n_nulls in self._files.column(name).to_pylist())

    def files_with(self, column: str, values: pl.Series) -> list[str]:
        """Return the addresses of the files that may hold a value, by the bounds in the log.

        Args:
            column: Name of a text column.
            values: Values to look for, without nulls.
        """
        addresses = self._addresses
        least, most = (f"{bound}.{column}" for bound in ("min", "max"))
        if not {least, most} <= set(self._files.column_names):
            return list(addresses)
        by_name = self._address_by_name
        ordered = values.sort()
        low = pl.Series(self._files.column(least).to_pylist(), dtype=pl.String)
        high = pl.Series(self._files.column(most).to_pylist(), dtype=pl.String)
        begin = ordered.search_sorted(low, "left")
        end = ordered.search_sorted(high, "right")
        # Without bounds, nothing is known of a file.
        is_kept = (begin < end) | low.is_null() | high.is_null()
        return [by_name[name] for name, kept in zip(self._names, is_kept, strict=True) if kept]

    @functools.cached_property
    def _addresses(self) -> list[str]:
        return self.opened.file_uris()

    @functools.cached_property
    def _address_by_name(self) -> dict[str, str]:
        return {_name_in(address): address for address in self._addresses}

    @functools.cached_property
    def _names(self) -> list[str]:
        return [_name_in(path) for path in self._files.column("path").to_pylist()]

    @functools.cached_property
    def _n_rows_by_name(self) -> dict[str, int]:
        return {name: n or 0 for name, n in zip(self._names, self.n_rows, strict=True)}

    @functools.cached_property
    def _files(self) -> pa.Table:
        # `pa.table` imports pandas where it is installed, which takes longer than the table does.
        return pa.RecordBatchReader.from_stream(
            self.opened.get_add_actions(flatten=True)
        ).read_all()


def _name_in(address: str) -> str:
    return unquote(address).rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    snapshot: Snapshot | None
    mark: _Mark


class Snapshots:
    """The latest versions of the tables of a lake; threads may share it.

    Args:
        store: Store of the lake.
        folder: Folder of the tables.
        opening: Function that opens a table at its latest version; None for a missing table.
    """

    def __init__(
        self, store: Store, folder: str, opening: Callable[[str], DeltaTable | None]
    ) -> None:
        self._store = store
        self._folder = folder
        self._opening = opening
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def kept(self, table: str, version: int) -> Snapshot | None:
        """Return a version of a table if it is the one that is kept."""
        with self._lock:
            kept = self._kept.get(table)
        snapshot = None if kept is None else kept.snapshot
        return snapshot if snapshot is not None and snapshot.version == version else None

    def latest(self, table: str) -> Snapshot | None:
        """Return the latest version of a table; None if nothing was written to it.

        Raises:
            StoreError: The log cannot be read, or is missing or damaged.
        """
        with self._lock:
            kept = self._kept.get(table)
        if kept is not None and self._is_latest(table, kept):
            return kept.snapshot
        opened = self._opening(table)
        snapshot = None if opened is None else Snapshot(opened)
        mark = None if snapshot is None else self._mark(table, snapshot.version)
        with self._lock:
            self._kept[table] = _Kept(snapshot=snapshot, mark=mark)
        return snapshot

    def _is_latest(self, table: str, kept: _Kept) -> bool:
        version = -1 if kept.snapshot is None else kept.snapshot.version
        if version >= 0 and (kept.mark is None or self._mark(table, version) != kept.mark):
            return False
        return self._mark(table, version + 1) is None

    def _mark(self, table: str, version: int) -> _Mark:
        """Return what changes with an entry of a log; None for a missing entry."""
        entry = f"{self._folder}/{table}/{LOG}/{version:020}.json"
        if not isinstance(self._store, LocalStore):
            size = self._store.size(entry)
            return None if size is None else (size,)
        try:
            stat = Path(self._store.path(entry)).stat()
        except OSError:
            return None
        return stat.st_size, stat.st_mtime_ns, stat.st_ino
