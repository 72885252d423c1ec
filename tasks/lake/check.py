"""The check of a lake: the files of each table, each shard, and the consistency between them.

A quick check reads logs, sizes, footers and the columns that name images. A deep check reads every
file in full and hashes every image. Neither changes the lake.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...data.errors import StoreError
from ...data.schema import TABLES
from ...data.store.damage import (
    MAX_LOOK_BYTES,
    empty_entries,
    file_problem,
    is_out_of_reach,
)
from ...data.store.erasure.tombstones import DERIVED
from ...data.store.journal.health import journal_health
from ...data.store.journal.place import NAME as JOURNAL
from ...data.store.journal.place import is_in_lake, journal_path
from ...data.store.lake import Lake
from ...data.store.tables import FOLDER
from ...data.store.upkeep.table_repair import files_of
from ...data.text.wording import counted
from .findings import Finding, Health, damage_of
from .fit import has_lost_tables
from .known_images import unknown_images
from .stored_images import PLACE, check_shards, left_over, lost_images, places_of, unreadable
from .traces import traces_left

_AGAIN: Final = "repair removes the file from the table; the next moderate writes its rows again"
_NOT_AGAIN: Final = "repair removes the file from the table; restore it from a backup if possible"
_WHAT_NEXT: Final = dict.fromkeys(TABLES, _AGAIN) | {
    "images": "repair removes the file and recreates its rows from the shards",
    "reviews": f"{_NOT_AGAIN}, since answers of reviewers exist nowhere else",
    "forgotten": f"{_NOT_AGAIN}, since nothing else keeps forgotten images out",
    "golden": f"{_NOT_AGAIN}, since golden items exist nowhere else",
    "appeals": f"{_NOT_AGAIN}, since appeals exist nowhere else",
    "synthetics": f"{_NOT_AGAIN}, since the lineage of made images exists nowhere else",
    "runs": f"{_NOT_AGAIN}, since reports of its runs need these rows",
}
_TABLES_LOST: Final = Finding(
    what="table",
    where=FOLDER,
    problem="has no table, although there are shards",
    affects="all rows about the images in the shards",
    remedy="repair records the images again; labels and scores need a backup or another run",
)


def check(lake: Lake, *, deep: bool = False) -> Health:
    """Return the state of a lake: per damage its place, its effect and its remedy.

    Args:
        lake: Lake to check.
        deep: Whether to read every byte, or only logs, sizes, footers and the columns that name
            images.

    Raises:
        StoreError: The store does not answer.
    """
    findings: list[Finding] = []
    rows: dict[str, int] = {}
    is_read: dict[str, bool] = {}
    for table in TABLES:
        of_table, n_rows = check_table(lake, table, deep=deep)
        findings += of_table
        is_read[table] = not any(finding.is_damage for finding in of_table)
        rows[table] = n_rows
    findings += _check_journal(lake, deep=deep)
    forgotten = lake.tombstones.ids() if is_read["forgotten"] else frozenset()
    for trace in (
        traces_left(lake, [name for name in DERIVED if is_read[name]]) if forgotten else ()
    ):
        findings.append(damage_of("forgotten", *trace, "no image", "repair completes it"))
    places = pl.DataFrame(schema=dict.fromkeys(PLACE, pl.String))
    lost = lost_images(lake)
    if is_read["images"]:
        places = places_of(lake)
        if has_lost_tables(lake):
            findings.append(_TABLES_LOST)
        findings += check_shards(lake, places, deep=deep)
        findings += _check_fit(lake, is_read)
        findings += left_over(lake, places)
    return Health(
        lake=lake.uri,
        deep=deep,
        findings=tuple(findings),
        rows=rows,
        shards=places["shard"].n_unique(),
        images=places.height,
        lost=len(lost.difference(places["image_id"])),
        forgotten=len(forgotten),
    )


def _check_journal(lake: Lake, *, deep: bool) -> list[Finding]:
    health = journal_health(lake.store, deep=deep)
    where = JOURNAL if is_in_lake(lake.store) else str(journal_path(lake.store))
    if health.problem is not None:
        return [
            damage_of(
                "journal",
                where,
                health.problem,
                "answers of reviewers that are not in the table yet",
                "repair saves what can be read, and begins a new journal",
            )
        ]
    if not health.n_pending:
        return []
    return [
        Finding(
            what="answers waiting",
            where=where,
            problem=f"has {counted(health.n_pending, 'answer that is', 'answers that are')} not in"
            " the table yet",
            affects="nothing",
            remedy="the next report, publish or review moves them",
            is_damage=False,
        )
    ]


def check_table(lake: Lake, table: str, *, deep: bool) -> tuple[list[Finding], int]:
    """Return the damages of a table's log and files, and its number of rows.

    Args:
        lake: Lake of the table.
        table: Name of the table.
        deep: Whether to read every data file in full.

    Raises:
        StoreError: The store does not answer.
    """
    folder = f"{FOLDER}/{table}"
    empty = empty_entries(lake.store, folder)
    remedy = "repair rebuilds the log from the existing data files"
    problem = f"has an empty log entry, {PurePosixPath(empty[0]).name}" if empty else None
    opened = None
    try:
        opened = lake.tables.open(table)
    except StoreError as error:
        if is_out_of_reach(error):
            raise
        problem = str(error).rpartition("; ")[0] or str(error)
    if problem is not None:
        return [damage_of("table", folder, problem, f"all rows of {table}", remedy)], 0
    if opened is None:
        return [], 0
    files = files_of(table, opened)
    findings = []
    for file in files:
        if problem := _problem(lake, file, deep=deep):
            n_rows = "rows" if file.n_rows is None else counted(file.n_rows, "row")
            findings.append(
                damage_of(
                    "table file", file.name, problem, f"{n_rows} of {table}", _WHAT_NEXT[table]
                )
            )
    return findings, sum(file.n_rows or 0 for file in files)


def _problem(lake: Lake, file: Any, *, deep: bool) -> str | None:
    try:
        if problem := file_problem(
            lake.store, file, is_read=deep or file.n_bytes <= MAX_LOOK_BYTES
        ):
            return problem
        if not deep:
            with lake.store.open_input(file.name) as opened:
                pq.read_metadata(opened)
    except (OSError, ValueError, pa.ArrowException) as error:
        return unreadable(lake, file.name, error)
    return None


def _check_fit(lake: Lake, is_read: dict[str, bool]) -> list[Finding]:
    findings = []
    for table, ids in unknown_images(lake, is_read).items():
        if unknown := sorted(ids):
            findings.append(
                Finding(
                    what="images unknown",
                    where=f"{FOLDER}/{table}",
                    problem=f"names {counted(len(unknown), 'image')} that `images` does not have",
                    affects=f"{counted(len(unknown), 'image')}, such as {unknown[0][:12]}",
                    remedy="repair searches the shards and the available sources for them",
                )
            )
    return findings
