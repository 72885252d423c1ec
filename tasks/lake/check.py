"""What is wrong with a lake: each table's files, each shard, and whether they fit together.

A quick check reads logs, sizes and footers, and of tables the columns that name images. A deep
one reads every file in full and hashes every image. Nothing is changed.
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
from ...data.schema import TABLES, Status
from ...data.store import shards
from ...data.store.damage import (
    MAX_LOOK_BYTES,
    advice,
    damaged,
    empty_entries,
    file_problem,
    is_out_of_reach,
)
from ...data.store.files import TMP_PREFIX
from ...data.store.lake import Lake
from ...data.store.shards import ShardPlace
from ...data.store.table_repair import files_of
from ...data.store.tables import FOLDER
from .fit import has_lost_tables

PLACE: Final = ("image_id", "shard", "row_group", "row")
# Tables whose every row is about an image, apart from `sightings`.
_ABOUT_IMAGES: Final = ("scores", "views", "decisions", "reviews", "synthetics")
# What no repair could bring back, a JSON list of image ids.
LOST: Final = "damaged/lost-images.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or left over where `is_damage` is False.

    Attributes:
        what: `table`, `table file`, `shard`, `image`, `images unknown` or `left over`.
        where: Name below the lake.
        problem: What was found.
        affects: What of the lake is not to be had because of it.
        remedy: What `assay lake repair` or a person does about it.
        is_damage: Whether something is lost or cannot be read.
    """

    what: str
    where: str
    problem: str
    affects: str
    remedy: str
    is_damage: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a check found, and what it looked at."""

    lake: str
    deep: bool
    findings: tuple[Finding, ...]
    rows: dict[str, int]
    shards: int
    images: int
    lost: int

    @property
    def damage(self) -> list[Finding]:
        """The findings that are damage."""
        return [finding for finding in self.findings if finding.is_damage]

    def to_json(self) -> dict[str, Any]:
        """The check as plain values."""
        return {"ok": not self.damage} | asdict(self)


def check(lake: Lake, *, deep: bool = False) -> Health:
    """Look at a lake, and say of each damage where it is, what it affects and what to do.

    Args:
        lake: Lake to look at.
        deep: Read every byte; else logs, sizes, footers and the columns that name images.

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
    )


def check_table(lake: Lake, table: str, *, deep: bool) -> tuple[list[Finding], int]:
    """Return what is wrong with a table's log and files, and how many rows it tells of."""
    folder = f"{FOLDER}/{table}"
    empty = empty_entries(lake.store, folder)
    remedy = "repair makes the log anew from the data files that are there"
    problem = f"{PurePosixPath(empty[0]).name} of its log is empty" if empty else None
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


_AGAIN: Final = "repair takes the file out of the table; the next moderate does its rows again"
_NOT_AGAIN: Final = "repair takes the file out of the table; restore it from a backup if you can"
_WHAT_NEXT: Final = dict.fromkeys(TABLES, _AGAIN) | {
    "images": "repair takes the file out and makes its rows anew from the shards",
    "reviews": f"{_NOT_AGAIN}: answers of people cannot be made again",
    "synthetics": f"{_NOT_AGAIN}: how pictures were made is not known otherwise",
    "runs": f"{_NOT_AGAIN}: reports of its runs cannot be drawn again",
}


_TABLES_LOST: Final = Finding(
    what="table",
    where=FOLDER,
    problem="has no table, and there are shards",
    affects="all that was known of the images in them",
    remedy="repair records the images anew; labels and scores come back from a backup or a run",
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
    """Return an error as a problem of a file; raise it where the file may well be whole."""
    if is_out_of_reach(error):
        next_ = advice(lake.store, error)
        raise StoreError(f"cannot read {lake.store.path(name)}: {brief(error)}; {next_}") from error
    return f"cannot be read: {brief(error)}"


def places_of(lake: Lake) -> pl.DataFrame:
    """Return where each image lies, each once, in stored order."""
    rows = lake.scan("images").select(PLACE).unique("image_id", keep="any", maintain_order=True)
    return rows.sort("shard", "row_group", "row").collect()


def lost_images(lake: Lake) -> set[str]:
    """Return the ids of images that a repair has recorded as lost."""
    try:
        return set(json.loads(lake.store.read(LOST) or b"[]"))
    except ValueError:
        return set()


def check_shards(lake: Lake, places: pl.DataFrame, *, deep: bool) -> list[Finding]:
    """Return what is wrong with the shards that the images lie in."""
    findings = []
    for (name,), rows in places.group_by("shard", maintain_order=True):
        shard = str(name)
        remedy = "repair reads its images again from sources that are there, and names the lost"
        problem = shard_problem(lake, shard, rows)
        if problem is not None:
            affects = f"{rows.height:,} images"
            findings.append(_of_table("shard", shard, problem, affects, remedy))
        elif deep:
            bad = [image_id for image_id, raw in read_each(lake, rows) if raw is None]
            if bad:
                problem = f"does not hold {len(bad):,} of its {rows.height:,} images as stored"
                affects = f"{len(bad):,} images: {', '.join(i[:12] for i in bad[:3])}"
                affects += ", ..." if len(bad) > 3 else ""
                findings.append(_of_table("shard", shard, problem, affects, remedy))
    return findings


def shard_problem(lake: Lake, shard: str, rows: pl.DataFrame) -> str | None:
    """Return what a shard's footer says against it, or None."""
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
            return f"has {sum(counts):,} rows and not those that `images` names"
    return None


def read_each(lake: Lake, rows: pl.DataFrame) -> Iterator[tuple[str, bytes | None]]:
    """Return the id and bytes of each image of some places; None where they are not as stored."""
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
    """Return, by table, the ids of images that it names and `images` does not.

    Of sightings those count that are the latest of their item.

    Args:
        lake: Lake to look in.
        tables: Whether a table can be read; those not named can.
        without: Images to leave out of account.
    """
    unknown = {}
    lost = lost_images(lake)  # scores and the like go on to name those
    for table in ("sightings", *_ABOUT_IMAGES):
        if not tables.get(table, True) or lake.version(table) is None:
            continue
        rows = lake.scan(table)
        if table == "sightings":
            rows = rows.sort("seen_at").unique(["batch_id", "source_uri"], keep="last")
            rows = rows.filter(pl.col("status") != Status.REJECTED.value)
        # Pinned after the table, since images are committed before what is about them.
        names = lake.scan("images").select("image_id")
        ids = rows.select("image_id").drop_nulls().unique().join(names, on="image_id", how="anti")
        left_out = without if table == "sightings" else without | lost
        unknown[table] = set(ids.collect()["image_id"]) - left_out
    return unknown


def require_images_known(lake: Lake) -> None:
    """Refuse a lake with rows about images that `images` does not have; for work on all of it.

    Raises:
        StoreError: There are such rows; it names their table, an image, and what to do.
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
                    remedy="repair looks for them in the shards and in sources that are there",
                )
            )
    return findings


def left_over(lake: Lake, places: pl.DataFrame) -> list[Finding]:
    """Return shards that no image names, and files that were never finished."""
    named = set(places["shard"])
    files = lake.store.files(shards.FOLDER)
    findings = []
    for file in files:
        path = PurePosixPath(file.name)
        if path.name.startswith(TMP_PREFIX):
            problem = "was never finished"
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
                remedy="sweep removes it when it is old enough",
                is_damage=False,
            )
        )
    return findings


def draw(health: Health) -> str:
    """Return what was found for a person: a paragraph per finding, then the counts."""
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
    how = "every byte was read" if health.deep else "bytes were not read: --deep reads them all"
    n_damage = len(health.damage)
    if n_damage:
        out.write(f"next   {command('lake', 'repair', lake=health.lake)}\n")
    out.write(f"found  {n_damage} damaged; {how}")
    return out.getvalue()
