"""Shards that an image names, now or in an older version of the table, which may be restored."""

from __future__ import annotations

from pathlib import PurePosixPath

import pyarrow as pa

from ..damage import listed_files
from ..files import Store
from ..parquet_reader import open_parquet
from ..table_log import entries_of, versions_of
from ..tables import FOLDER, Tables

_FOLDER = f"{FOLDER}/images"


def named_shards(store: Store, tables: Tables) -> set[str]:
    """Return the shards that rows of `images` name, in any version whose files still exist.

    Args:
        store: Store of the lake.
        tables: Tables of the lake.

    Raises:
        StoreError: The table or its log cannot be read.
    """
    named = set(tables.scan("images").select("shard").unique().collect()["shard"])
    opened = tables.open("images")
    if opened is None:
        return named
    live = {file.name for file in listed_files(_FOLDER, opened)}
    older = {
        PurePosixPath(file.name).name: shards
        for file in store.files(_FOLDER)
        if file.name.endswith(".parquet")
        and file.name not in live
        and (shards := _shards_in(store, file.name) - named)
    }
    # After a merge, the live files name the same shards. Others are of older versions, or were
    # never committed.
    committed = _committed(store, tables) if older else set()
    return named.union(*(shards for name, shards in older.items() if name in committed))


def _shards_in(store: Store, name: str) -> set[str]:
    """Return the shards that a data file names; none for a file that cannot be read."""
    try:
        with open_parquet(store, name) as file:
            column = file.rows(["shard"])["shard"]
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return set()
    return set(column.to_pylist())


def _committed(store: Store, tables: Tables) -> set[str]:
    """Return the names of the files of all versions that can be opened."""
    versions = list(versions_of(store, _FOLDER))
    if not versions:
        return set()
    first = tables.at("images", versions[0])
    names = {PurePosixPath(file.name).name for file in listed_files(_FOLDER, first)}
    for entry in entries_of(store, _FOLDER, versions[0], versions[-1] + 1):
        names |= {file.name for file in entry.added}
    return names
