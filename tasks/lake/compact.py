"""Compaction: the small files of many commits become few large ones, sorted for lookups.

Rows, their times and older versions of the tables stay as they are. The merged files remain in
place, for readers and for older versions, until `vacuum` removes them. Runs may write meanwhile:
appends and compactions do not conflict, and the second of two compactions gives up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from ...data.errors import AssayError, brief
from ...data.schema import TABLES
from ...data.store.damage import Listed
from ...data.store.files import cannot
from ...data.store.lake import Lake
from ...data.store.table_log import COMPACT
from ...data.store.tables import FOLDER
from ...data.store.upkeep.compaction import FAN, to_merge
from ...data.store.upkeep.rewrite import add_action, merged, rewrite, write_file
from ...data.store.upkeep.table_repair import files_of
from ...data.text.wording import counted

_log = logging.getLogger(__name__)

_ALL: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What a compaction did to a table, or would do.

    Attributes:
        table: Name of the table.
        files_before: Number of data files before.
        files_after: Number of data files after.
        n_rows: Number of rows written again.
        n_bytes: Size of the merged files.
    """

    table: str
    files_before: int
    files_after: int
    n_rows: int
    n_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)


def compact(
    lake: Lake,
    *,
    tables: Iterable[str] = TABLES,
    fan: int = _ALL,
    max_merges: int | None = None,
    dry_run: bool = False,
) -> list[Compacted]:
    """Merge the small files of tables, and shorten the logs of these tables by checkpoints.

    Args:
        lake: Lake of the tables.
        tables: Names of the tables.
        fan: Number of files of similar size from which on they are merged; 2 merges all small
            files.
        max_merges: Largest number of new files per table; None for no limit.
        dry_run: Whether to change nothing and only return what would be merged.

    Returns:
        Tables with files to merge.

    Raises:
        StoreError: A table is damaged, or the store refused a write.
    """
    done = [
        _compact(lake, table, fan=fan, max_merges=max_merges, dry_run=dry_run) for table in tables
    ]
    # Of up to 64 MB compressed per merge; the steps that follow allocate from other pools.
    pa.default_memory_pool().release_unused()
    return [one for one in done if one is not None]


def compact_crowded(lake: Lake, *, max_merges: int | None = None) -> list[str]:
    """Merge small files where there are many, and return the names of the merged tables.

    A failure is logged, since a run can go on.

    Args:
        lake: Lake of the tables.
        max_merges: Largest number of new files per table; None for no limit.
    """
    try:
        done = compact(lake, fan=FAN, max_merges=max_merges)
    except (AssayError, OSError) as error:
        _log.warning("the tables of %s were not compacted: %s", lake.uri, brief(error))
        return []
    for one in done:
        _log.info(
            "compacted %s: files: %d, %d before", one.table, one.files_after, one.files_before
        )
    return [one.table for one in done]


def _compact(
    lake: Lake, table: str, *, fan: int, max_merges: int | None, dry_run: bool
) -> Compacted | None:
    if not to_merge(lake.tables.listed(table), fan=fan):
        return None
    # Opened for this compaction alone, which moves it to later versions.
    opened = lake.tables.open(table)
    files = [] if opened is None else files_of(table, opened)
    groups = to_merge(files, fan=fan)[:max_merges]
    if opened is None or not groups:
        return None
    n_merged = 0
    for group in groups:
        if not dry_run and not _merge(lake, table, opened, group):
            break  # another process has merged them, or does
        n_merged += 1
    done = groups[:n_merged]
    if done and not dry_run:
        _checkpoint(lake, table, opened)
    return Compacted(
        table=table,
        files_before=len(files),
        files_after=len(files) - sum(len(group) - 1 for group in done),
        n_rows=sum(file.n_rows or 0 for group in done for file in group),
        n_bytes=sum(file.n_bytes for group in done for file in group),
    )


def _merge(lake: Lake, table: str, base: DeltaTable, group: Sequence[Listed]) -> bool:
    """Replace files by one; return False if another process rewrote the table meanwhile."""
    file = merged(lake.store, table, base, group)
    try:
        write_file(lake.store, table, file)
        rewrite(
            lake.tables,
            table,
            base,
            remove=[PurePosixPath(one.name).name for one in group],
            add=[add_action(file.name, len(file.raw), file.stats, is_new=False)],
            purpose=COMPACT,
        )
    except CommitFailedError:
        lake.store.delete(f"{FOLDER}/{table}/{file.name}")
        return False
    except (DeltaError, OSError) as error:
        address = lake.path(FOLDER, table)
        raise cannot("compact", address, error) from error
    return True


def _checkpoint(lake: Lake, table: str, opened: DeltaTable) -> None:
    """Write a checkpoint, so that opening the table does not read the entries before it."""
    try:
        opened.create_checkpoint()
        lake.tables.sync_log(table, opened.version())
    except (DeltaError, OSError) as error:
        address = lake.path(FOLDER, table)
        raise cannot("write a checkpoint of", address, error) from error


def draw(done: Sequence[Compacted], *, dry_run: bool) -> str:
    """Return compactions as text, one line per table.

    Args:
        done: Tables with merged files.
        dry_run: Whether nothing was changed.
    """
    verb = "would merge" if dry_run else "merged"
    if not done:
        return f"{verb}  nothing; no table has small files to merge"
    return "\n".join(
        f"{verb}  {one.table}: {counted(one.files_after, 'file')} instead of {one.files_before:,},"
        f" {counted(one.n_rows, 'row')} ({counted(one.n_bytes, 'byte')})"
        for one in done
    )
