"""Repair of a table's log: replacement of data files in one commit, and a rebuilt log.

Files removed by a commit stay in place for older versions of the table. Damaged files are moved
aside, here or by the caller; nothing is deleted.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Transaction
from deltalake.transaction import AddAction

from ...errors import StoreError
from ..conform import conform, schema_of
from ..damage import LOG, Listed, empty_entries, listed_files
from ..files import Store, cannot
from ..table_files import DataFile, encode, problem_of, read_rows, statistics_of
from ..tables import FOLDER, Tables
from .rewrite import add_action, rewrite, write_file


def replace_files(
    store: Store,
    tables: Tables,
    table: str,
    *,
    remove: Sequence[Listed],
    rows: pa.Table | None,
    put_back: Sequence[AddAction] = (),
) -> None:
    """Replace data files of a table by rows or by older files, in one commit.

    Args:
        store: Store of the lake.
        tables: Tables of the lake.
        table: Name of the table.
        remove: Data files to remove from the table.
        rows: Rows to add; None for none.
        put_back: Files to add, which exist in the store.

    Raises:
        StoreError: There is no such table, the store refused the write, or another writer
            committed in between.
    """
    base = tables.open(table)
    if base is None:
        raise StoreError(f"{store.uri} has no table {table}")
    add = list(put_back)
    if rows is not None and rows.num_rows:
        add.append(_written(store, table, encode(conform(table, rows))))
    names = [PurePosixPath(file.name).name for file in remove]
    _commit(store, tables, base, table, add, remove=names)


def read_without_checkpoints(store: Store, tables: Tables, table: str, *, aside: str) -> bool:
    """Move the checkpoints of a log aside; return whether the table opens by its entries alone.

    Args:
        store: Store of the lake.
        tables: Tables of the lake.
        table: Name of the table.
        aside: Folder below the store's root for the moved files.
    """
    log = f"{FOLDER}/{table}/{LOG}"
    if empty_entries(store, f"{FOLDER}/{table}"):
        return False
    checkpoints = [
        file.name for file in store.files(log) if "checkpoint" in PurePosixPath(file.name).name
    ]
    for name in checkpoints:
        store.move(name, f"{aside}/{name}")
    try:
        return bool(checkpoints) and tables.open(table) is not None
    except StoreError:
        return False


def rebuild_log(store: Store, tables: Tables, table: str, *, aside: str) -> tuple[int, list[str]]:
    """Rebuild a table from its data files, with its old log moved aside.

    Rows that occur in several files, as left by a refused and repeated commit, are taken once.

    Args:
        store: Store of the lake.
        tables: Tables of the lake.
        table: Name of the table.
        aside: Folder below the store's root for the moved files.

    Returns:
        Number of rows of the rebuilt table, and the unreadable files, which were moved aside.

    Raises:
        StoreError: The table cannot be created or written.
    """
    folder = f"{FOLDER}/{table}"
    try:
        store.move(f"{folder}/{LOG}", f"{aside}/{folder}/{LOG}")
    except NotADirectoryError:  # the name of the folder is that of a file
        store.move(folder, f"{aside}/{folder}/file")
    base = tables.create(table)
    bad: list[str] = []
    actions: list[AddAction] = []
    seen: set[object] = set()
    n_rows = 0
    for file in sorted(store.files(folder), key=lambda file: file.modified_s):
        if not file.name.endswith(".parquet"):
            continue
        raw = store.read(file.name) or b""
        rows = None if problem_of(file.name, raw) else _readable(table, raw)
        if rows is None:
            store.move(file.name, f"{aside}/{file.name}")
            bad.append(file.name)
            continue
        keys = _keys(table, rows)
        fresh = []
        for number, key in enumerate(keys):
            if key not in seen:
                seen.add(key)
                fresh.append(number)
        n_rows += len(fresh)
        if len(fresh) == rows.num_rows:
            name = PurePosixPath(file.name).name
            stats = statistics_of(pq.read_metadata(io.BytesIO(raw)))
            actions.append(add_action(name, len(raw), stats, is_new=True))
        elif fresh:
            actions.append(_written(store, table, encode(conform(table, rows.take(fresh)))))
    if actions:
        _commit(store, tables, base, table, actions)
    return n_rows, bad


def files_of(table: str, base: DeltaTable) -> list[Listed]:
    """Return the data files of an opened table."""
    return listed_files(f"{FOLDER}/{table}", base)


def _readable(table: str, raw: bytes) -> pa.Table | None:
    """Return the rows of a file, with nulls for newer columns; None if they do not fit."""
    rows = read_rows(raw)
    for field in schema_of(table):
        if field.name not in rows.column_names:
            if not field.nullable:
                return None
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(schema_of(table).names)


def _keys(table: str, rows: pa.Table) -> list[object]:
    """Return a key per row by which duplicate rows of a table are found."""
    if table == "images":
        return list(rows.column("image_id").to_pylist())
    plain = [n for n in rows.column_names if not pa.types.is_nested(rows.schema.field(n).type)]
    return [repr(row) for row in zip(*(rows.column(n).to_pylist() for n in plain), strict=True)]


def _written(store: Store, table: str, file: DataFile) -> AddAction:
    write_file(store, table, file)
    return add_action(file.name, len(file.raw), file.stats, is_new=True)


def _commit(
    store: Store,
    tables: Tables,
    base: DeltaTable,
    table: str,
    add: list[AddAction],
    *,
    remove: Sequence[str] = (),
) -> None:
    # Writers with rows computed from an earlier version must compute them again.
    txns = [
        Transaction(f"repair:{secrets.token_hex(8)}", 1),
        Transaction(tables.exclusive, base.version() + 1),
    ]
    try:
        rewrite(tables, table, base, remove=remove, add=add, purpose="repair", txns=txns)
    except Exception as error:
        raise cannot("repair", store.path(f"{FOLDER}/{table}"), error) from error
