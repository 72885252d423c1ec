"""Vacuum: removal of table files that no kept version needs, and of the log before those versions.

Kept are the versions of a period until now, those that published datasets were read at, and files
that a writer may be about to commit. Rows of the current tables are never removed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa

from ...data.errors import MissingVersion, StoreError
from ...data.schema import TABLES
from ...data.store.damage import LOG
from ...data.store.files import StoredFile
from ...data.store.lake import Lake
from ...data.store.table_files import read_rows
from ...data.store.table_log import entries_of, versions_of
from ...data.store.tables import FOLDER
from ...data.store.upkeep.table_repair import files_of
from .pins import pinned
from .sweep import MIN_AGE_S, Swept

_CHECKPOINT: Final = re.compile(r"(\d{20})\.checkpoint\.parquet")


def vacuum(
    lake: Lake,
    *,
    older_than_s: float,
    published: Iterable[Path] = (),
    tables: Iterable[str] = TABLES,
    now_s: float | None = None,
    dry_run: bool = False,
) -> list[Swept]:
    """Remove the files of tables that only older versions need.

    Args:
        lake: Lake of the tables.
        older_than_s: Age in seconds up to which every version stays readable, at least
            `MIN_AGE_S`.
        published: Folders of datasets whose versions stay readable, beside those recorded in the
            lake.
        tables: Names of the tables.
        now_s: Unix time from which ages count; None for the present.
        dry_run: Whether to remove nothing and only return what would be removed.

    Returns:
        Removed files.

    Raises:
        StoreError: A table is damaged, or the age is less than a running reader may need.
        ConfigError: A folder is not a published dataset.
    """
    if older_than_s < MIN_AGE_S:
        raise StoreError(
            f"an age of {older_than_s:.0f} s is less than a running reader may need;"
            f" give at least {MIN_AGE_S:.0f} s"
        )
    now_s = time.time() if now_s is None else now_s
    pins = pinned(lake, published)
    removed = [
        file
        for table in tables
        for file in _of_table(lake, table, now_s, now_s - older_than_s, pins.get(table, set()))
    ]
    if not dry_run:
        # Entries from the oldest on: an interrupted removal leaves a log without gaps.
        for one in removed:
            lake.store.delete(one.where)
    return removed


def _of_table(
    lake: Lake, table: str, now_s: float, before_s: float, pins: set[int]
) -> Iterator[Swept]:
    folder = f"{FOLDER}/{table}"
    # Listed before the table is read: files of later commits are younger than the limit.
    data = [file for file in lake.store.files(folder) if file.name.endswith(".parquet")]
    log = lake.store.files(f"{folder}/{LOG}")
    opened = lake.tables.open(table)
    if opened is None:
        return
    latest = opened.version()
    times = versions_of(lake.store, folder)
    # The version that was the latest one at the limit is kept, and every later one.
    begin = max(
        (v for v, at_s in times.items() if at_s <= before_s and v <= latest),
        default=min(times, default=latest),
    )
    kept: set[str] = set()
    oldest = begin
    for version in sorted({begin, *(pin for pin in pins if pin < begin)}, reverse=True):
        try:
            kept |= _names(lake, table, version)
        except MissingVersion:
            continue  # lost before
        oldest = min(oldest, version)
    for entry in entries_of(lake.store, folder, begin + 1, latest + 1):
        kept |= {file.name for file in entry.added}
    for file in data:
        if file.modified_s <= before_s and PurePosixPath(file.name).name not in kept:
            yield _swept("table file that no kept version needs", file, now_s)
    yield from _log_files(lake, log, oldest, before_s, now_s)


def _names(lake: Lake, table: str, version: int) -> set[str]:
    """Return the names of the data files of a version."""
    files = files_of(table, lake.tables.at(table, version))
    return {PurePosixPath(file.name).name for file in files}


def _log_files(
    lake: Lake, log: Iterable[StoredFile], oldest: int, before_s: float, now_s: float
) -> Iterator[Swept]:
    """Yield the files of a log before the last intact checkpoint that the oldest version has."""
    named = sorted((PurePosixPath(file.name).name, file) for file in log)
    checkpoints = {int(m[1]): file for name, file in named if (m := _CHECKPOINT.fullmatch(name))}
    begin = max(
        (v for v, file in checkpoints.items() if v <= oldest and _is_intact(lake, file)), default=0
    )
    for name, file in named:
        stem = name.partition(".")[0]
        if stem.isdecimal() and int(stem) < begin and file.modified_s <= before_s:
            yield _swept("log entry before all kept versions", file, now_s)


def _is_intact(lake: Lake, checkpoint: StoredFile) -> bool:
    try:
        return bool(read_rows(lake.store.read(checkpoint.name) or b"").num_rows)
    except (OSError, ValueError, pa.ArrowException):
        return False


def _swept(what: str, file: StoredFile, now_s: float) -> Swept:
    age_s = now_s - file.modified_s
    return Swept(what=what, where=file.name, n_bytes=file.n_bytes, age_s=age_s)
