"""The files that a damaged merged file was made from, where no vacuum has removed them yet."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from ...errors import StoreError
from ..damage import Listed
from ..files import Store
from ..table_files import problem_of, statistics_of
from ..table_log import REWRITES, read_entry, versions_of
from ..tables import FOLDER
from .rewrite import add_action


def files_before_merge(
    store: Store, table: str, damaged: Iterable[Listed]
) -> tuple[list[AddAction], int]:
    """Return intact files that have rows of damaged merged files, and the number of these rows.

    Args:
        store: Store of the lake.
        table: Name of the table.
        damaged: Damaged files of the table.

    Raises:
        OSError: The store does not respond.
    """
    folder = f"{FOLDER}/{table}"
    merges = _merges(store, folder)
    add: list[AddAction] = []
    n_rows = 0
    for file in damaged:
        for name, raw in _intact(store, folder, PurePosixPath(file.name).name, merges):
            footer = pq.read_metadata(io.BytesIO(raw))
            add.append(add_action(name, len(raw), statistics_of(footer), is_new=False))
            n_rows += footer.num_rows
    return add, n_rows


def _merges(store: Store, folder: str) -> dict[str, tuple[str, ...]]:
    """Return the names of the files that each merged file was made from."""
    merges: dict[str, tuple[str, ...]] = {}
    for version in versions_of(store, folder):
        try:
            entry = read_entry(store, folder, version)
        except StoreError:
            continue  # other entries may have what is needed
        if entry.purpose in REWRITES:
            merges |= {file.name: entry.removed for file in entry.added}
    return merges


def _intact(
    store: Store, folder: str, name: str, merges: Mapping[str, Sequence[str]]
) -> list[tuple[str, bytes]]:
    """Return the intact files that a file was made from, themselves merged or not."""
    found = []
    for part in merges.get(name, ()):
        raw = store.read(f"{folder}/{part}")
        if raw is not None and problem_of(part, raw) is None:
            found.append((part, raw))
        else:
            found += _intact(store, folder, part, merges)
    return found
