"""The lake's tables: append-only Delta tables with commits that are made at most once.

A commit has an application transaction id. Delta refuses a second commit with the same id, also
from concurrent writers, on folders and object stores. So a step that is repeated after a crash, or
by two machines at once, commits once.

New columns are nullable. A table of an older version is read with nulls for columns that it lacks,
and gets the columns before the next append.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import Schema
from deltalake.transaction import AddAction

from ..errors import CommitConflict, MissingVersion, StoreError, brief, is_panic
from ..schema import Row
from . import damage
from .conform import conform, schema_of, with_nulls
from .files import Store, cannot
from .kept.column_numbers import MIN_ROWS, Column, ColumnNumbers
from .kept.file_rows import FileRows
from .local_files import LocalStore
from .retry import retried
from .snapshots import Snapshot, Snapshots
from .table_files import DataFile, encode
from .table_log import entries_of, new_files

FOLDER = "tables"
MAX_ATTEMPTS = 12
MAX_BACKOFF_S = 2.0

# Of deltalake, for requests to an object store. A wait is drawn between 0.1 s and `base` times the
# one before. With the defaults, half of the tries are over before three seconds have passed; with
# these, 1 in 25,000.
_RETRIES = {
    "max_retries": "10",
    "retry_timeout": "60s",
    "backoff_config.init_backoff": "100ms",
    "backoff_config.max_backoff": "5s",
    "backoff_config.base": "6",
}

# Transaction id of appends computed from a known version; see `append`.
_EXCLUSIVE = "assay-exclusive"

_FORGETS = "delta.setTransactionRetentionDuration"
_TABLE_SETTINGS = {
    "delta.appendOnly": "true",
    # Published datasets refer to table versions, so the log must be kept.
    "delta.enableExpiredLogCleanup": "false",
    # A transaction is repeated within a run or right after it; remembered for longer, they would
    # make the opening of a table slower with every commit.
    _FORGETS: "interval 30 days",
}


@dataclass(slots=True, kw_only=True)
class _Commit:
    """Rows to append under a transaction id.

    Attributes:
        table: Name of the table.
        txn: Transaction id.
        after: Version that the rows were computed from; None if they depend on none.
        file: Rows as a data file.
        schema: Schema of the rows.
        is_written: Whether the file is in the store.
    """

    table: str
    txn: str
    after: int | None
    file: DataFile
    schema: pa.Schema
    is_written: bool = False


class Tables:
    """Scans of and appends to the tables of a lake; threads may share it.

    Readers and writers share one opening per version of a table; see `snapshots`.
    """

    exclusive = _EXCLUSIVE

    def __init__(self, store: Store) -> None:
        self._store = store
        options = store.storage_options or None
        self._log_options = None if options is None else options | _RETRIES
        self._snapshots = Snapshots(store, FOLDER, self.open)
        self._file_rows = FileRows(store)
        self.numbers = ColumnNumbers(store.uri)

    def version(self, table: str) -> int | None:
        """Return the latest version of a table; None if nothing was written to it."""
        latest = self._latest(table)
        return None if latest is None else latest.version

    def n_rows(self, table: str) -> int:
        """Return the number of rows of a table at its latest version, by its log if it says."""
        latest = self._latest(table)
        counts = [] if latest is None else latest.n_rows
        if any(n_rows is None for n_rows in counts):
            return int(self.scan(table).select(pl.len()).collect().item())
        return sum(n_rows or 0 for n_rows in counts)

    def may_have_nulls(self, table: str, column: str, version: int | None = None) -> bool:
        """Return whether a column may have nulls, by the counts in the table's log."""
        snapshot = self._snapshot(table, version)
        return snapshot is not None and snapshot.may_have_nulls(column)

    def scan(self, table: str, version: int | None = None) -> pl.LazyFrame:
        """Return the rows of a table, at a version or the latest one at the time of the call.

        Args:
            table: Name of the table.
            version: Version of the table; None for the latest.

        Raises:
            MissingVersion: The version does not exist, or its log was removed.
            StoreError: There is no such table, or it cannot be read.
        """
        return self._rows(table, self._snapshot(table, version))

    def files_with(
        self, table: str, column: str, values: pl.Series, version: int | None = None
    ) -> list[str]:
        """Return the addresses of the data files that may hold a value, by the table's log.

        Args:
            table: Name of the table.
            column: Name of a text column.
            values: Values to look for, without nulls.
            version: Version of the table; None for the latest.

        Raises:
            MissingVersion: The version does not exist, or its log was removed.
            StoreError: The table cannot be read.
        """
        snapshot = self._snapshot(table, version)
        return [] if snapshot is None else snapshot.files_with(column, values)

    def kept_numbers(
        self, table: str, column: str, file: str, version: int | None = None
    ) -> Column | None:
        """Return the numbers of a column of a large data file; None for a small file.

        Args:
            table: Name of the table.
            column: Name of a text column.
            file: Address of the file.
            version: Version of the table that has the file; None for the latest.

        Raises:
            StoreError: The table cannot be read.
        """
        snapshot = self._snapshot(table, version)
        n_rows = 0 if snapshot is None else snapshot.n_rows_of(file)
        if snapshot is None or n_rows < MIN_ROWS:
            return None
        return self.numbers.of(
            table,
            column,
            file,
            n_rows=n_rows,
            read=lambda: self._rows(table, snapshot, [file]).select(column).collect()[column],
            files=snapshot.opened.file_uris(),
        )

    def records_its_readers(self, table: str) -> bool:
        """Return whether every dataset published from a table is recorded in the lake.

        Versions up to 0.2.0 recorded none; their tables lack a setting that later ones have.
        """
        latest = self._latest(table)
        return latest is None or _FORGETS in latest.opened.metadata().configuration

    def listed(self, table: str) -> list[damage.Listed]:
        """Return the data files of a table at its latest version, with sizes and rows."""
        latest = self._latest(table)
        if latest is None:
            return []
        return damage.listed_files(f"{FOLDER}/{table}", latest.opened)

    def files(self, table: str, version: int | None = None) -> list[str]:
        """Return the addresses of a table's data files, as Delta encodes them."""
        snapshot = self._snapshot(table, version)
        return [] if snapshot is None else snapshot.opened.file_uris()

    def n_rows_of(self, table: str, file: str, version: int | None = None) -> int:
        """Return the number of rows of one of `files`; 0 where the log does not say."""
        snapshot = self._snapshot(table, version)
        return 0 if snapshot is None else snapshot.n_rows_of(file)

    def rows_in(self, table: str, files: Sequence[str], version: int | None = None) -> pl.LazyFrame:
        """Return the rows of some data files of a table, given by addresses of `files`."""
        return self._rows(table, self._snapshot(table, version), files)

    def _rows(
        self, table: str, snapshot: Snapshot | None, files: Sequence[str] | None = None
    ) -> pl.LazyFrame:
        """Return the rows of a snapshot, or of some of its files."""
        if snapshot is None:
            return pl.LazyFrame(schema=pl.Schema(schema_of(table)))
        opened = snapshot.opened
        damage.check_files(self._store, f"{FOLDER}/{table}", opened)
        # Nothing is ever deleted from these tables, so their files are their rows.
        files = opened.file_uris() if files is None else files
        return self._scan_files(table, files, opened)

    def _latest(self, table: str) -> Snapshot | None:
        schema_of(table)
        return self._snapshots.latest(table)

    def _snapshot(self, table: str, version: int | None) -> Snapshot | None:
        """Return a version of a table, or the latest one; None for a table without versions."""
        if version is not None and (kept := self._snapshots.kept(table, version)) is not None:
            return kept
        latest = self._latest(table)
        if version is None or (latest is not None and latest.version == version):
            return latest
        return Snapshot(_at_version(self.open(table), table, version))

    def added(self, table: str, since: int | None, version: int | None) -> pl.LazyFrame:
        """Return the rows added to a table between two versions.

        If files of these rows were merged and then removed by a vacuum, all rows are returned.

        Args:
            table: Name of the table.
            since: Earlier version; None for all rows up to `version`.
            version: Later version; None for all rows of the latest version.

        Raises:
            MissingVersion: A version does not exist, or its log was removed.
            StoreError: There is no such table, or it cannot be read.
        """
        if since is None or version is None:
            return self.scan(table, version)
        if since == version:  # without opening the table, which takes several requests on S3
            return pl.LazyFrame(schema=pl.Schema(schema_of(table)))
        before, after = (self.at(table, number) for number in (since, version))
        known, files = set(before.file_uris()), set(after.file_uris())
        if known <= files:
            files -= known
        else:
            # Files of the earlier version were merged or taken out; new ones may be too.
            names = new_files(self._store, f"{FOLDER}/{table}", since + 1, version + 1)
            if any(self._store.size(f"{FOLDER}/{table}/{name}") is None for name in names):
                return self.scan(table, version)  # vacuumed: all rows include the added ones
            files = {quote(f"{self._uri(table)}/{name}", safe=":/") for name in names}
        return self._scan_files(table, sorted(files), after)

    def _scan_files(self, table: str, files: Sequence[str], opened: DeltaTable) -> pl.LazyFrame:
        """Return the rows of data files, given by Delta's percent-encoded addresses."""
        self._lacking(opened, table)
        if not files:
            return pl.LazyFrame(schema=pl.Schema(schema_of(table)))
        # Files from before and after a new column differ, so no file has the full schema.
        schema = pl.Schema(pa.schema(opened.schema()))
        rows = self._file_rows.rows_in(files, schema, opened.file_uris)
        return with_nulls(rows, table, [field.name for field in opened.schema().fields])

    def append(
        self,
        table: str,
        rows: Sequence[Row] | pa.Table | pl.DataFrame,
        *,
        txn: str,
        after: int | None = None,
    ) -> bool:
        """Commit rows under a transaction id, at most once.

        Args:
            table: Name of a table in `schema.TABLES`; created by its first append.
            rows: Rows in a form of `conform.conform`; without rows there is no commit.
            txn: Transaction id of this commit. An id is never committed twice.
            after: Version that the rows were computed from, if they are only valid while no other
                append with `after` has been committed since; None otherwise.

        Returns:
            Whether the rows were committed by this call: False if `txn` was committed before, or
            there are no rows.

        Raises:
            CommitConflict: Another append with `after` was committed in between, so that the rows
                must be computed again; or other writers won every attempt.
            StoreError: The rows do not fit, or the store refused the write.
        """
        data = conform(table, rows)
        if data.num_rows == 0:
            return False
        commit = _Commit(table=table, txn=txn, after=after, file=encode(data), schema=data.schema)
        for attempt in range(MAX_ATTEMPTS):
            try:
                # A retry finds a commit with a cut-off response by its transaction id.
                return retried(lambda: self._commit(commit))
            except CommitFailedError:
                limit_s = min(MAX_BACKOFF_S, 0.02 * 2**attempt)
                time.sleep(random.uniform(0, limit_s))  # noqa: S311 - spreads writers, no secret
            except (DeltaError, OSError) as error:
                raise cannot("append to", self._uri(table), error) from error
        raise CommitConflict(
            f"other writers won {MAX_ATTEMPTS} attempts in a row at {self._uri(table)};"
            " run again with fewer writers at once"
        )

    def _commit(self, commit: _Commit) -> bool:
        """Try a commit once; return False if its transaction was committed before."""
        table, file = commit.table, commit.file
        base, is_committed = self._base(table, commit.txn)
        if is_committed:
            return commit.is_written and self._is_ours_else_deleted(table, base, file)
        after = commit.after
        if after is not None and self._has_exclusive_since(base, table, after):
            if commit.is_written:
                self._store.delete(f"{FOLDER}/{table}/{file.name}")
            raise CommitConflict(
                f"{table} has rows newer than version {after} that these rows do not"
                " take into account; read it and compute the rows again"
            )
        if lacking := self._lacking(base, table):
            begin = base.version() + 1
            # This moves an opened table to its new version, so it is not a shared one.
            own = self.at(table, base.version())
            own.alter.add_columns(Schema.from_arrow(pa.schema(lacking)).fields)
            self.sync_log(table, begin)
            base = self.open(table) or own
        begin = base.version() + 1
        if not commit.is_written:
            # Written before the commit, so that a commit always has its rows.
            with self._store.creating(f"{FOLDER}/{table}/{file.name}") as out:
                out.write(file.raw)
            commit.is_written = True
        now_ms = time.time_ns() // 1_000_000
        add = AddAction(
            path=file.name,
            size=len(file.raw),
            partition_values={},
            modification_time=now_ms,
            data_change=True,
            stats=file.stats,
        )
        txns = [Transaction(commit.txn, 1, now_ms)]
        if after is not None:
            txns.append(Transaction(_EXCLUSIVE, after + 1))
        # Delta checks all commits since `base` for the same transaction ids.
        base.create_write_transaction(
            [add],
            mode="append",
            schema=commit.schema,
            commit_properties=CommitProperties(app_transactions=txns),
        )
        self.sync_log(table, begin)
        return True

    def _base(self, table: str, txn: str) -> tuple[DeltaTable, bool]:
        """Return the latest version of a table, and whether a transaction was committed.

        It is the version that readers share: a commit leaves an opened version as it is.
        """
        latest = self._latest(table)
        if latest is not None:
            # A vacuum may have removed entries that a kept version still names.
            with contextlib.suppress(DeltaError, OSError):
                return latest.opened, latest.opened.transaction_version(txn) is not None
        base = self.open(table) or self.create(table)
        return base, base.transaction_version(txn) is not None

    def _is_ours_else_deleted(self, table: str, base: DeltaTable, file: DataFile) -> bool:
        """Return whether a table has a data file; remove a file that it does not have."""
        if any(uri.endswith(f"/{file.name}") for uri in base.file_uris()):
            return True
        self._store.delete(f"{FOLDER}/{table}/{file.name}")
        return False

    def sync_log(self, table: str, begin: int) -> None:
        """Make the log's entries from a version on, and their checkpoints, durable."""
        log = f"{FOLDER}/{table}/{damage.LOG}"
        names = []
        for version in itertools.count(begin):
            entry = f"{log}/{version:020}.json"
            if not isinstance(self._store, LocalStore) or self._store.size(entry) is None:
                break
            names.append(entry)
            checkpoint = f"{log}/{version:020}.checkpoint.parquet"
            if self._store.size(checkpoint) is not None:
                names += [checkpoint, f"{log}/_last_checkpoint"]
        self._store.sync(names)

    def _uri(self, table: str) -> str:
        schema_of(table)
        return self._store.path(f"{FOLDER}/{table}")

    def open(self, table: str) -> DeltaTable | None:
        """Open a table at its latest version; return None if nothing was written to it.

        Raises:
            StoreError: The log cannot be read, or is missing or damaged.
        """
        uri = self._uri(table)
        folder, options = f"{FOLDER}/{table}", self._log_options
        try:
            try:
                opened = retried(lambda: DeltaTable(uri, storage_options=options))
            except TableNotFoundError:
                if not damage.has_lost_log(self._store, folder):
                    return None
                # Another writer may have created the table between the two checks.
                opened = retried(lambda: DeltaTable(uri, storage_options=options))
        except TableNotFoundError as error:
            raise damage.damaged(self._store, folder, "has data files and no log") from error
        except BaseException as error:
            if not isinstance(error, (DeltaError, OSError)) and not is_panic(error):
                raise
            what_next = damage.advice(self._store, error)
            raise StoreError(f"cannot read the table {uri}: {brief(error)}; {what_next}") from error
        damage.check_log(self._store, folder, opened.version())
        return opened

    def at(self, table: str, version: int) -> DeltaTable:
        """Open a table at a version.

        Raises:
            MissingVersion: The version does not exist, or its log was removed.
            StoreError: The log cannot be read.
        """
        return _at_version(self.open(table), table, version)

    def _has_exclusive_since(self, base: DeltaTable, table: str, after: int) -> bool:
        """Return whether an append with `after` was committed after version `after`."""
        # Delta itself checks commits after `base`.
        entries = entries_of(self._store, f"{FOLDER}/{table}", after + 1, base.version() + 1)
        return any(_EXCLUSIVE in entry.txns for entry in entries)

    def _lacking(self, opened: DeltaTable, table: str) -> list[pa.Field]:
        """Return the columns of the schema that an older table lacks."""
        there = {field.name for field in opened.schema().fields}
        lacking = [field for field in schema_of(table) if field.name not in there]
        if required := [field.name for field in lacking if not field.nullable]:
            raise StoreError(
                f"{self._uri(table)} has no column {', '.join(required)}: it was written by another"
                " program, or is damaged; restore it"
            )
        return lacking

    def create(self, table: str) -> DeltaTable:
        """Create a table without rows, or return the existing one.

        Raises:
            StoreError: The table cannot be created.
        """
        uri = self._uri(table)
        try:
            made = retried(
                lambda: DeltaTable.create(
                    uri,
                    schema=schema_of(table),
                    mode="ignore",
                    configuration=_TABLE_SETTINGS,
                    storage_options=self._log_options,
                )
            )
            self.sync_log(table, 0)
        except (DeltaError, OSError) as error:
            # Two writers may create it at once; the second uses the table of the first.
            opened = self.open(table)
            if opened is None:
                raise cannot("create the table", uri, error) from error
            return opened
        return made


def _at_version(opened: DeltaTable | None, table: str, version: int) -> DeltaTable:
    """Load a version of an open table."""
    latest = None if opened is None else opened.version()
    if opened is None or latest is None or not 0 <= version <= latest:
        raise MissingVersion(f"{table} has no version {version}; its latest is {latest}")
    try:
        retried(lambda: opened.load_as_version(version))
    except DeltaError as error:
        raise MissingVersion(f"{table} has lost version {version}: {brief(error)}") from error
    return opened
