"""Rows about images that the table `images` does not have."""

from __future__ import annotations

from typing import Final

import polars as pl

from ...data.schema import TABLES
from ...data.store.damage import damaged
from ...data.store.lake import Lake
from ...data.store.tables import FOLDER
from ...data.text.wording import counted
from ...data.vocabulary import Status
from .stored_images import lost_images

# Tables in which every row names an image. `sightings` also has rejected items.
_ABOUT_IMAGES: Final = tuple(
    table
    for table, schema in TABLES.items()
    if table not in {"images", "forgotten"}
    and "image_id" in schema.names
    and not schema.field("image_id").nullable
)


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
                f"names {counted(len(ids), 'image')} that `images` does not have, such"
                f" as {min(ids)[:12]}",
            )
