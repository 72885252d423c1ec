"""The check of a lake: the files of each table, each shard, and the consistency between them.

A quick check reads logs, sizes, footers and the columns that name images. A deep check reads every
file in full and hashes every image. Neither changes the lake.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...data.commands import command
from ...data.errors import StoreError, brief
from ...data.schema import TABLES
from ...data.store import shards
from ...data.store.damage import (
    MAX_LOOK_BYTES,
    advice,
    damaged,
    empty_entries,
    file_problem,
    is_out_of_reach,
)
from ...data.store.erasure.tombstones import DERIVED
from ...data.store.files import TMP_PREFIX
from ...data.store.journal.health import journal_health
from ...data.store.journal.place import NAME as JOURNAL
from ...data.store.journal.place import is_in_lake, journal_path
from ...data.store.lake import Lake
from ...data.store.shards import ShardPlace
from ...data.store.tables import FOLDER
from ...data.store.upkeep.table_repair import files_of
from ...data.vocabulary import Status
from .fit import has_lost_tables
from .traces import traces_left

PLACE: Final = ("image_id", "shard", "row_group", "row")
# Tables in which every row names an image. `sightings` also has rejected items.
_ABOUT_IMAGES: Final = tuple(
    table
    for table, schema in TABLES.items()
    if table not in {"images", "forgotten"}
    and "image_id" in schema.names
    and not schema.field("image_id").nullable
)
# File with a JSON list of the ids of images that no repair could restore.
LOST: Final = "damaged/lost-images.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One damage, or one leftover.

    Attributes:
        what: Kind of the finding: `table`, `table file`, `journal`, `shard`, `images unknown`,
            `forgotten`, `answers waiting` or `left over`.
        where: Path below the lake.
        problem: Description of the damage, a phrase that continues `where`.
        affects: Rows or images that are unavailable because of it.
        remedy: Action of `assay lake repair`, or of a person.
        is_damage: Whether rows or images are unavailable; False for a leftover.
    """

    what: str
    where: str
    problem: str
    affects: str
    remedy: str
    is_damage: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The result of a check.

    Attributes:
        lake: Address of the lake.
        deep: Whether every byte was read.
        findings: Damages and leftovers.
        rows: Number of rows per table.
        shards: Number of shards that images lie in.
        images: Number of stored images.
        lost: Number of images recorded as lost.
        forgotten: Number of images that were forgotten.
    """

    lake: str
    deep: bool
    findings: tuple[Finding, ...]
    rows: dict[str, int]
    shards: int
    images: int
    lost: int
    forgotten: int = 0

    @property
    def damage(self) -> list[Finding]:
        """The findings that are damage."""
        return [finding for finding in self.findings if finding.is_damage]

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {"ok": not self.damage} | asdict(self)


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
        findings.append(_of_table("forgotten", *trace, "no image", "repair completes it"))
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
            _of_table(
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
            problem=f"has {health.n_pending:,} answers that are not in the table yet",
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
        return [_of_table("table", folder, problem, f"all rows of {table}", remedy)], 0
    if opened is None:
        return [], 0
    files = files_of(table, opened)
    findings = []
    for file in files:
        if problem := _problem(lake, file, deep=deep):
            n_rows = "rows" if file.n_rows is None else f"{file.n_rows:,} rows"
            findings.append(
                _of_table(
                    "table file", file.name, problem, f"{n_rows} of {table}", _WHAT_NEXT[table]
                )
            )
    return findings, sum(file.n_rows or 0 for file in files)


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


def _of_table(what: str, where: str, problem: str, affects: str, remedy: str) -> Finding:
    return Finding(what=what, where=where, problem=problem, affects=affects, remedy=remedy)


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
        return _unreadable(lake, file.name, error)
    return None


def _unreadable(lake: Lake, name: str, error: Exception) -> str:
    """Return an error as the problem of a file.

    Raises:
        StoreError: The store is out of reach, so that the file may be intact.
    """
    if is_out_of_reach(error):
        next_ = advice(lake.store, error)
        raise StoreError(f"cannot read {lake.store.path(name)}: {brief(error)}; {next_}") from error
    return f"cannot be read: {brief(error)}"


def places_of(lake: Lake) -> pl.DataFrame:
    """Return the place of each image once, in the order of the stored bytes.

    Args:
        lake: Lake of the images.

    Returns:
        Columns of `PLACE`.
    """
    rows = lake.scan("images").select(PLACE).unique("image_id", keep="any", maintain_order=True)
    return rows.sort("shard", "row_group", "row").collect()


def lost_images(lake: Lake) -> set[str]:
    """Return the ids of images that a repair has recorded as lost."""
    try:
        return set(json.loads(lake.store.read(LOST) or b"[]"))
    except ValueError:
        return set()


def check_shards(lake: Lake, places: pl.DataFrame, *, deep: bool) -> list[Finding]:
    """Return the damages of the shards.

    Args:
        lake: Lake of the shards.
        places: Places of the images, from `places_of`.
        deep: Whether to read and hash every image.

    Raises:
        StoreError: The store does not answer.
    """
    findings = []
    for (name,), rows in places.group_by("shard", maintain_order=True):
        shard = str(name)
        remedy = "repair reads its images again from the available sources, and lists lost ones"
        problem = shard_problem(lake, shard, rows)
        if problem is not None:
            affects = f"{rows.height:,} images"
            findings.append(_of_table("shard", shard, problem, affects, remedy))
        elif deep:
            bad = [image_id for image_id, raw in read_each(lake, rows) if raw is None]
            if bad:
                problem = f"has other bytes for {len(bad):,} of its {rows.height:,} images"
                affects = f"{len(bad):,} images: {', '.join(i[:12] for i in bad[:3])}"
                affects += ", ..." if len(bad) > 3 else ""
                findings.append(_of_table("shard", shard, problem, affects, remedy))
    return findings


def shard_problem(lake: Lake, shard: str, rows: pl.DataFrame) -> str | None:
    """Return the problem that a shard's footer shows; None without one.

    Args:
        lake: Lake of the shard.
        shard: Path of the shard below the lake.
        rows: Places of the images in the shard.

    Raises:
        StoreError: The store does not answer.
    """
    try:
        with lake.store.open_input(shard) as opened:
            footer = pq.read_metadata(opened)
    except FileNotFoundError:
        return "is missing"
    except (OSError, ValueError, pa.ArrowException) as error:
        return _unreadable(lake, shard, error)
    counts = [footer.row_group(n).num_rows for n in range(footer.num_row_groups)]
    for row in rows.iter_rows(named=True):
        if row["row_group"] >= len(counts) or row["row"] >= counts[row["row_group"]]:
            return f"has {sum(counts):,} rows, but not those that `images` names"
    return None


def read_each(lake: Lake, rows: pl.DataFrame) -> Iterator[tuple[str, bytes | None]]:
    """Yield the id and bytes of the image at each place; None for bytes that do not match the id.

    Args:
        lake: Lake of the shards.
        rows: Places of images.

    Raises:
        StoreError: The store does not answer.
    """
    places = [ShardPlace(**row) for row in rows.iter_rows(named=True)]
    done = 0
    while done < len(places):
        try:
            for image_id, raw in shards.read_images(lake.store, places[done:]):
                done += 1
                yield image_id, raw
        except StoreError as error:
            if is_out_of_reach(error):
                raise
            yield places[done].image_id, None
            done += 1


def unknown_images(
    lake: Lake, tables: dict[str, bool], *, without: frozenset[str] = frozenset()
) -> dict[str, set[str]]:
    """Return, per table, the ids of images that it names and `images` does not.

    In `sightings`, only the latest row of each item counts.

    Args:
        lake: Lake to check.
        tables: Whether each table can be read; a table that is left out can.
        without: Ids of images to disregard.

    Raises:
        StoreError: The lake cannot be read.
    """
    unknown = {}
    without |= lake.tombstones.ids()
    lost = lost_images(lake)  # rows about lost images stay in scores and the other tables
    for table in ("sightings", *_ABOUT_IMAGES):
        if not tables.get(table, True) or lake.version(table) is None:
            continue
        rows = lake.scan(table)
        if table == "sightings":
            rows = rows.sort("seen_at").unique(["batch_id", "source_uri"], keep="last")
            rows = rows.filter(pl.col("status") != Status.REJECTED.value)
        # Pinned after the table: images are committed before the rows that name them.
        names = lake.scan("images").select("image_id")
        ids = rows.select("image_id").drop_nulls().unique().join(names, on="image_id", how="anti")
        left_out = without if table == "sightings" else without | lost
        unknown[table] = set(ids.collect()["image_id"]) - left_out
    return unknown


def require_images_known(lake: Lake) -> None:
    """Refuse a lake with rows about images that `images` does not have.

    Args:
        lake: Lake to work on as a whole.

    Raises:
        StoreError: A table has such rows; the message names the table, an image and what to do.
    """
    for table, ids in unknown_images(lake, {}).items():
        if ids:
            raise damaged(
                lake.store,
                f"{FOLDER}/{table}",
                f"names {len(ids):,} images that `images` does not have, such as {min(ids)[:12]}",
            )


def _check_fit(lake: Lake, is_read: dict[str, bool]) -> list[Finding]:
    findings = []
    for table, ids in unknown_images(lake, is_read).items():
        if unknown := sorted(ids):
            findings.append(
                Finding(
                    what="images unknown",
                    where=f"{FOLDER}/{table}",
                    problem=f"names {len(unknown):,} images that `images` does not have",
                    affects=f"{len(unknown):,} images, such as {unknown[0][:12]}",
                    remedy="repair searches the shards and the available sources for them",
                )
            )
    return findings


def left_over(lake: Lake, places: pl.DataFrame) -> list[Finding]:
    """Return the shards that no image names and the unfinished files.

    Args:
        lake: Lake of the shards.
        places: Places of the images, from `places_of`.
    """
    named = set(places["shard"])
    files = lake.store.files(shards.FOLDER)
    findings = []
    for file in files:
        path = PurePosixPath(file.name)
        if path.name.startswith(TMP_PREFIX):
            problem = "is an unfinished file"
        elif path.suffix == ".parquet" and file.name not in named:
            problem = "is a shard that no image names"
        else:
            continue
        findings.append(
            Finding(
                what="left over",
                where=file.name,
                problem=f"{problem} ({file.n_bytes:,} bytes)",
                affects="nothing",
                remedy="sweep removes it once it is old enough",
                is_damage=False,
            )
        )
    return findings


def draw(health: Health) -> str:
    """Return a check as text: a paragraph per finding, then the counts.

    Args:
        health: Result of the check.
    """
    out = io.StringIO()
    for finding in health.findings:
        mark = "damage" if finding.is_damage else "note"
        out.write(f"{mark:<7}{finding.where}\n       {finding.problem}\n")
        if finding.is_damage:
            out.write(f"       affects {finding.affects}\n")
        out.write(f"       {finding.remedy}\n")
    rows = ", ".join(f"{name} {n:,}" for name, n in health.rows.items() if n)
    out.write(f"lake   {health.lake}\n       {health.images:,} images in {health.shards:,} shards")
    out.write(f"; rows: {rows or 'none'}\n")
    if health.lost:
        out.write(f"       {health.lost:,} images are recorded as lost\n")
    if health.forgotten:
        out.write(f"       {health.forgotten:,} images were forgotten\n")
    how = "every byte was read" if health.deep else "quick check; --deep reads every byte"
    n_damage = len(health.damage)
    if n_damage:
        out.write(f"next   {command('lake', 'repair', lake=health.lake)}\n")
    out.write(f"found  {n_damage} damage{'' if n_damage == 1 else 's'}; {how}")
    return out.getvalue()
