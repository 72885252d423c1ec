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
    pairs, n_left_out = divided(sides[0], sides[1], "_group")
    if not pairs:
        raise InputError(
            f"no {by} has {MIN_IMAGES} scored images on each side ({populations.before_name};"
            f" {populations.after_name}); compare without --by"
        )
    return pairs, n_left_out


def divided(
    before: pl.DataFrame, after: pl.DataFrame, column: str
) -> tuple[dict[str, tuple[pl.DataFrame, pl.DataFrame]], int]:
    """Return the largest groups with enough images on both sides, and how many are left out.

    Args:
        before: Images of the first population.
        after: Images of the second population.
        column: Name of the text column with the group of an image; null for none.
    """
    counts = [side.drop_nulls(column).group_by(column).len() for side in (before, after)]
    both = counts[0].join(counts[1], on=column, how="full", coalesce=True)
    ranked = (
        both.with_columns(least=pl.min_horizontal(pl.col("len", "len_right").fill_null(0)))
        .filter(pl.col("least") >= MIN_IMAGES)
        .sort("least", column, descending=[True, False])
        .head(MAX_GROUPS)
    )
    is_in = pl.col(column)
    pairs = {
        name: (before.filter(is_in == name), after.filter(is_in == name)) for name in ranked[column]
    }
    return pairs, both.height - ranked.height
