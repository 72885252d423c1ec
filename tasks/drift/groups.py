"""The groups in which two populations are compared: domains, or sources of the images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from ...data.errors import InputError
from ...data.store.lake import Lake
from ..latest_rows import latest_sightings, source_of
from .measures import MIN_IMAGES

if TYPE_CHECKING:
    from .populations import Populations

By = Literal["domain", "source"]

MAX_GROUPS: Final = 10


def grouped(
    lake: Lake, populations: Populations, by: By
) -> tuple[dict[str, tuple[pl.DataFrame, pl.DataFrame]], int]:
    """Return the largest groups with enough images in both populations, and how many are left out.

    Args:
        lake: Lake of the images.
        populations: Populations to divide.
        by: `domain`, or `source`: the folder, archive or address above the image.

    Raises:
        InputError: No group has enough images in both populations.
        StoreError: The lake cannot be read.
    """
    groups = latest_sightings(lake).select(
        "image_id", _group=source_of() if by == "source" else pl.col("domain").fill_null("(none)")
    )
    sides = [
        side.lazy().join(groups, on="image_id").collect()
        for side in (populations.before, populations.after)
    ]
    counts = [side.group_by("_group").len() for side in sides]
    both = counts[0].join(counts[1], on="_group", how="full", coalesce=True)
    ranked = (
        both.with_columns(least=pl.min_horizontal(pl.col("len", "len_right").fill_null(0)))
        .filter(pl.col("least") >= MIN_IMAGES)
        .sort("least", "_group", descending=[True, False])
        .head(MAX_GROUPS)
    )
    if ranked.is_empty():
        raise InputError(
            f"no {by} has {MIN_IMAGES} scored images on each side ({populations.before_name};"
            f" {populations.after_name}); compare without --by"
        )
    pairs = {
        name: (sides[0].filter(pl.col("_group") == name), sides[1].filter(pl.col("_group") == name))
        for name in ranked["_group"]
    }
    return pairs, both.height - ranked.height
