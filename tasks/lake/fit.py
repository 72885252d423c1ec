"""The check of a lake at the start of a run.

It reads the sightings of the batch and the places of their images, and the first and last bytes
of each shard with one of them. `check` checks everything.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from ...data.errors import StoreError, brief
from ...data.schema import TABLES
from ...data.store.damage import advice, damaged
from ...data.store.lake import Lake
from ...data.store.shards import FOLDER
from ...data.store.table_files import is_whole
from ...data.text.wording import counted
from ...data.vocabulary import Status
from ..latest_rows import latest_items

# Shards whose ends are read; for any beyond, only their existence is checked.
MAX_SHARDS_OPENED = 500
# Shards that are looked up one by one; for more, the folder is listed.
MAX_SHARDS_ASKED = 50

_NAMING_IMAGES = ("scores", "decisions", "synthetics", "views", "deliveries", "measures")


def require_fit(lake: Lake, batch_id: str | None) -> None:
    """Refuse a lake that has lost images, or bytes of images, since they were recorded.

    Args:
        lake: Lake to check.
        batch_id: Id of the batch that the run reads again; None for all images of the lake.

    Raises:
        StoreError: A table names images that `images` does not have, or a shard is missing or
            truncated; the message names it and what to do.
    """
    require_tables(lake)
    if batch_id is None:
        shards = lake.scan("images").select("shard").unique().collect()["shard"]
    else:
        shards = _require_known(lake, batch_id)
    if not lake.n_rows("images"):
        require_no_images(lake)
    _require_shards(lake, sorted(shards))


def _require_known(lake: Lake, batch_id: str) -> pl.Series:
    """Refuse sightings of images that are not in `images`; return the shards of the others."""
    # Scans are pinned when they are created. Sightings go first, since a concurrent run commits
    # images before their sightings.
    seen = (
        latest_items(lake, batch_id)
        .filter(pl.col("status") != Status.REJECTED.value)
        .select(pl.col("image_id").drop_nulls().unique())
        .collect()["image_id"]
    )
    known = lake.rows_of("images", seen).select("image_id", "shard").collect()
    unknown = seen.filter(~seen.is_in(known["image_id"].implode()))
    if len(unknown):
        raise StoreError(
            f"{lake.uri} has sightings of"
            f" {counted(len(unknown), 'image that is', 'images that are')} not in its table"
            f" images, such as {unknown.sort()[0]}; {advice(lake.store)}"
        )
    return known["shard"].unique()


def require_tables(lake: Lake) -> None:
    """Refuse a lake with shards and without tables; a run writes its record before any shard.

    Args:
        lake: Lake to check.

    Raises:
        StoreError: The tables are missing.
    """
    if has_lost_tables(lake):
        raise StoreError(
            f"{lake.uri} has shards but no tables, so that all rows about the images are missing;"
            f" restore {lake.path('tables')}, or {advice(lake.store)}"
        )


def has_lost_tables(lake: Lake) -> bool:
    """Return whether there are shards, and none of the tables that a run writes with them."""
    return (
        lake.version("runs") is None
        and any(file.name.endswith(".parquet") for file in lake.store.files(FOLDER))
        and all(lake.version(table) is None for table in TABLES)
    )


def require_no_images(lake: Lake) -> None:
    """Refuse an empty table `images` beside rows or shards of images.

    Args:
        lake: Lake to check.

    Raises:
        StoreError: `images` is empty, and another table names images.
    """
    naming = "sightings"
    if lake.version("sightings") is not None:
        # Images that a repair could not restore are recorded as rejected items.
        latest = lake.scan("sightings").sort("seen_at")
        latest = latest.unique(["batch_id", "source_uri"], keep="last")
        is_known = latest.filter(pl.col("status") != Status.REJECTED.value).head(1)
        if is_known.collect().is_empty() or _has_images(lake):
            return
    elif lake.store.files(FOLDER):
        scored = [table for table in _NAMING_IMAGES if lake.version(table) is not None]
        if not scored or _has_images(lake):
            return
        naming = scored[0]
    else:
        return
    raise StoreError(
        f"{lake.uri} has no images, but its table {naming} has rows about images;"
        f" {advice(lake.store)}"
    )


def _has_images(lake: Lake) -> bool:
    """Return whether the lake has images now; a concurrent run may have stored the first ones."""
    return not lake.scan("images").head(1).collect().is_empty()


def _require_shards(lake: Lake, shards: list[str]) -> None:
    if len(shards) <= MAX_SHARDS_ASKED:
        sizes = {shard: lake.store.size(shard) for shard in shards}
    else:
        sizes = {file.name: file.n_bytes for file in lake.store.files(FOLDER)}
    for number, shard in enumerate(shards):
        size = sizes.get(shard)
        if size is None:
            raise damaged(lake.store, shard, "is missing")
        if number >= MAX_SHARDS_OPENED or lake.store.storage_options is not None:
            continue
        try:
            with lake.store.open_input(shard) as file:
                head = file.read(4)
                file.seek(max(0, size - 4))
                tail = file.read(4)
        except (OSError, ValueError, pa.ArrowException) as error:
            next_ = advice(lake.store, error)
            raise StoreError(
                f"cannot read {lake.store.path(shard)}: {brief(error)}; {next_}"
            ) from error
        if not is_whole(head, tail):
            raise damaged(lake.store, shard, "is truncated or overwritten")
