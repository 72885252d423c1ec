"""Whether a lake fits together well enough to work on; looked at when a run begins.

It costs what a run costs anyway: one look at the batch's sightings and at the ids of images,
and the first and last bytes of each shard. `lake_check` looks at everything.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from ...data.errors import StoreError, brief
from ...data.schema import TABLES, Status
from ...data.store.damage import advice, damaged
from ...data.store.lake import Lake
from ...data.store.shards import FOLDER
from ...data.store.table_files import is_whole
from ..latest_rows import latest_items

# Opened to see whether they are whole; of more, only their being there is asked for.
MAX_SHARDS_OPENED = 500

_NAMING_IMAGES = ("scores", "decisions", "synthetics", "views")


def require_fit(lake: Lake, batch_id: str | None) -> None:
    """Refuse a lake that has lost images, or the bytes of images, since they were recorded.

    Args:
        lake: Lake to look at.
        batch_id: The batch that is about to be read again; None for none.

    Raises:
        StoreError: Tables name images that `images` does not have, or a shard is missing or cut;
            it says which, and what to do.
    """
    require_tables(lake)
    # Scans are pinned when they are made: sightings first, since their images are committed
    # before them, and another run may be at work.
    seen = None
    if batch_id is not None and lake.version("sightings") is not None:
        seen = latest_items(lake, batch_id)
    images = lake.scan("images").select("image_id", "shard")
    shards = images.select(pl.col("shard").unique().sort()).collect()["shard"].to_list()
    if not shards:
        require_no_images(lake)
    if seen is not None:
        unknown = (
            seen.filter(pl.col("status") != Status.REJECTED.value)
            .select("image_id")
            .drop_nulls()
            .unique()
            .join(images.select("image_id"), on="image_id", how="anti")
            .collect()["image_id"]
        )
        if len(unknown):
            raise StoreError(
                f"{lake.uri} has sightings of {len(unknown):,} images that its table images does"
                f" not have, such as {unknown.sort()[0]}; {advice(lake.store)}"
            )
    _require_shards(lake, shards)


def require_tables(lake: Lake) -> None:
    """Refuse a lake with shards and no table at all: a run records itself before its first shard.

    Raises:
        StoreError: The tables are gone.
    """
    if has_lost_tables(lake):
        raise StoreError(
            f"{lake.uri} has shards and no tables: what was known of their images is gone; restore"
            f" {lake.path('tables')}, or {advice(lake.store)}"
        )


def has_lost_tables(lake: Lake) -> bool:
    """Whether there are shards, and no table that a run could have left beside them."""
    return (
        lake.version("runs") is None
        and any(file.name.endswith(".parquet") for file in lake.store.files(FOLDER))
        and all(lake.version(table) is None for table in TABLES)
    )


def require_no_images(lake: Lake) -> None:
    """Refuse an empty table of images beside tables and shards that know some."""
    naming = "sightings"
    if lake.version("sightings") is not None:
        # What a repair could not bring back is recorded as rejected, and is no surprise.
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
        f"{lake.uri} has no images, and its table {naming} has rows about some;"
        f" {advice(lake.store)}"
    )


def _has_images(lake: Lake) -> bool:
    """Look again: another run may have stored the first images in the meantime."""
    return not lake.scan("images").head(1).collect().is_empty()


def _require_shards(lake: Lake, shards: list[str]) -> None:
    there = {file.name: file for file in lake.store.files(FOLDER)}
    for number, shard in enumerate(shards):
        if shard not in there:
            raise damaged(lake.store, shard, "is missing")
        if number >= MAX_SHARDS_OPENED or lake.store.storage_options is not None:
            continue
        size = there[shard].n_bytes
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
            raise damaged(lake.store, shard, "is cut or overwritten")
