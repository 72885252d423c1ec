"""The images of a lake in their shards: places, bytes, damages, and files that no image names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...data.errors import StoreError, brief
from ...data.store import shards
from ...data.store.damage import advice, is_out_of_reach
from ...data.store.files import TMP_PREFIX
from ...data.store.lake import Lake
from ...data.store.shards import ShardPlace
from ...data.text.wording import counted
from .findings import Finding, damage_of

PLACE: Final = ("image_id", "shard", "row_group", "row")
# File with a JSON list of the ids of images that no repair could restore.
LOST: Final = "damaged/lost-images.json"


def unreadable(lake: Lake, name: str, error: Exception) -> str:
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
            affects = counted(rows.height, "image")
            findings.append(damage_of("shard", shard, problem, affects, remedy))
        elif deep:
            bad = [image_id for image_id, raw in read_each(lake, rows) if raw is None]
            if bad:
                problem = f"has other bytes for {len(bad):,} of its {counted(rows.height, 'image')}"
                affects = f"{counted(len(bad), 'image')}: {', '.join(i[:12] for i in bad[:3])}"
                affects += ", ..." if len(bad) > 3 else ""
                findings.append(damage_of("shard", shard, problem, affects, remedy))
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
        return unreadable(lake, shard, error)
    counts = [footer.row_group(n).num_rows for n in range(footer.num_row_groups)]
    for row in rows.iter_rows(named=True):
        if row["row_group"] >= len(counts) or row["row"] >= counts[row["row_group"]]:
            return f"has {counted(sum(counts), 'row')}, but not those that `images` names"
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
                problem=f"{problem} ({counted(file.n_bytes, 'byte')})",
                affects="nothing",
                remedy="sweep removes it once it is old enough",
                is_damage=False,
            )
        )
    return findings
