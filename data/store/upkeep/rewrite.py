"""Commits that rewrite a table's files: rows move between files, or files are put back.

Tables are append-only, so such a commit adds and removes files without a change of data in Delta's
sense. Delta does not notice that two commits remove the same file, so all rewrites of a table
share a transaction id, by which the second of two concurrent ones is refused.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction, RemoveAction

from ...schema import SORTED_BY
from ..conform import schema_of
from ..damage import Listed, damaged
from ..files import Store
from ..retry import retried
from ..table_files import DataFile, encode_groups, problem_of, read_rows
from ..table_log import PURPOSE
from ..tables import FOLDER, Tables
from .compaction import row_group_rows

_REWRITE = "assay-rewrite"


def rewrite(
    tables: Tables,
    table: str,
    base: DeltaTable,
    *,
    remove: Sequence[str],
    add: Sequence[AddAction],
    purpose: str,
    txns: Sequence[Transaction] = (),
) -> None:
    """Remove and add data files of a table in one commit.

    Args:
        tables: Tables of the lake.
        table: Name of the table.
        base: Table at the version from which the files were chosen; it is at the latest version
            afterwards.
        remove: Names in the table's folder.
        add: Files, which exist in the store.
        purpose: Purpose of the commit in the table's history.
        txns: Further transaction ids of the commit.

    Raises:
        CommitFailedError: The table was rewritten since `base`.
    """
    begin = base.version() + 1
    now_ms = time.time_ns() // 1_000_000
    removed = [
        RemoveAction(path=name, data_change=False, deletion_timestamp=now_ms) for name in remove
    ]
    base.create_write_transaction(
        [*removed, *add],
        mode="append",
        schema=pa.schema(base.schema()),
        commit_properties=CommitProperties(
            custom_metadata={PURPOSE: purpose},
            app_transactions=[Transaction(_REWRITE, begin), *txns],
        ),
    )
    tables.sync_log(table, begin)
    retried(base.update_incremental)


def add_action(name: str, n_bytes: int, stats: str, *, is_new: bool) -> AddAction:
    """Return the action that adds a file to a table.

    Args:
        name: Name in the table's folder.
        n_bytes: Size of the file.
        stats: Delta's statistics of the file as JSON.
        is_new: Whether its rows are new in the table.
    """
    return AddAction(
        path=name,
        size=n_bytes,
        partition_values={},
        modification_time=time.time_ns() // 1_000_000,
        data_change=is_new,
        stats=stats,
    )


def write_file(store: Store, table: str, file: DataFile) -> None:
    """Write a data file of a table."""
    with store.creating(f"{FOLDER}/{table}/{file.name}") as out:
        out.write(file.raw)


def merged(store: Store, table: str, base: DeltaTable, files: Sequence[Listed]) -> DataFile:
    """Return the rows of data files as one file, sorted by the table's keys.

    Args:
        store: Store of the lake.
        table: Name of the table.
        base: Table that has the files, whose columns the file gets.
        files: Data files of `base`.

    Raises:
        StoreError: A file is missing or damaged.
    """
    schema = _columns(table, base)
    rows = pa.concat_tables([_read(store, file, schema) for file in files])
    keys = [(name, "ascending") for name in SORTED_BY[table]]
    order = pc.sort_indices(rows, sort_keys=keys)
    n_rows = row_group_rows(rows)
    # Sorted one row group at a time: a second copy of all rows would be most of a run's memory.
    groups = (rows.take(order[at : at + n_rows]) for at in range(0, len(order), n_rows))
    return encode_groups(schema, groups)


def _columns(table: str, base: DeltaTable) -> pa.Schema:
    """Return the columns of a table, also those that a later version of assay added."""
    known = schema_of(table)
    fields = pa.schema(base.schema())
    return pa.schema([known.field(f.name) if f.name in known.names else f for f in fields])


def _read(store: Store, file: Listed, schema: pa.Schema) -> pa.Table:
    raw = store.read(file.name)
    if raw is None:
        raise damaged(store, file.name, "is missing")
    if problem := problem_of(PurePosixPath(file.name).name, raw):
        raise damaged(store, file.name, problem)
    rows = read_rows(raw)
    for field in schema:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(schema.names).cast(schema)
