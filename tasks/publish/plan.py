"""The images of a dataset and their groups, before they are read."""

from __future__ import annotations

import polars as pl

from ...data.store.lake import Lake
from ..copies.near_duplicates import group_near_duplicates
from .limits import LeftOut, Limits
from .pinned import Pinned
from .selection import Selection
from .upright_hashes import with_upright_hashes


def chosen_images(
    lake: Lake, pinned: Pinned, selection: Selection, limits: Limits, *, seed: int
) -> tuple[pl.DataFrame, tuple[LeftOut, ...]]:
    """Return the images to publish, and what the limits leave out of the selection.

    Args:
        lake: Lake of the images.
        pinned: Table versions, score key and policy.
        selection: Selection of the images.
        limits: Limits of the dataset.
        seed: Seed of the draw.

    Returns:
        Columns image_id, group_id, phash and n_bytes, in the order of stored bytes. Groups are
        those of all images of the lake.

    Raises:
        InputError: An id is not that of an image, or there is nothing to balance.
        ConfigError: The condition fails on the rows, or a licence flag is not known.
        StoreError: The lake cannot be read.
    """
    plan = _grouped(lake, pinned)
    kept = selection.kept(lake, pinned, plan["image_id"]).to_frame()
    plan = plan.join(kept, on="image_id", how="semi", maintain_order="left")
    return limits.applied(lake, pinned, plan, seed=seed)


def _grouped(lake: Lake, pinned: Pinned) -> pl.DataFrame:
    """Return image_id, group_id, phash and n_bytes of each image, in the order of stored bytes."""
    images = (
        pinned.scan(lake, "images")
        .select(
            *("image_id", "phash", "phash_of", "ingested_at"),
            *("shard", "row_group", "row", "n_bytes"),
        )
        # An image whose forgetting is not complete is still named.
        .filter(~pl.col("image_id").is_in(list(lake.tombstones.ids())))
        .unique(subset=["image_id"], keep="any")
        .sort("shard", "row_group", "row")
        .collect()
    )
    lineage = pinned.scan(lake, "synthetics").select("image_id", "parent_id").collect()
    images = with_upright_hashes(lake, images, version=pinned.versions["images"])
    groups = group_near_duplicates(images, lineage)
    return images.select("image_id", "n_bytes", "phash").with_columns(groups["group_id"])
