"""Sample of a lake's images for comparing backends: all kinds of image, always the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ..detector.selection.drift import slice_of
from ..labels import best_labels
from ..review.answers import settle

MAX_HELD_OUT: Final = 200
MOST_IMAGES: Final = 1_000_000
_FAKE: Final = {"fake": 1, "real": 0}


def sample(lake: Lake, n_images: int, *, leave_out: Sequence[str] = ()) -> pl.DataFrame:
    """Choose images of a lake, as evenly over the slices of `drift` as the lake allows.

    The choice follows the order of the ids, which are hashes, so a lake always gives the same one.

    Args:
        lake: Lake of the images.
        n_images: Largest number of images.
        leave_out: Ids of images that are not chosen.

    Returns:
        Columns image_id, slice, label (1 AI-generated, 0 real, null unknown).

    Raises:
        ConfigError: `n_images` is out of range.
    """
    if not 1 <= n_images <= MOST_IMAGES:
        raise ConfigError(f"n = {n_images}; allowed: 1 to {MOST_IMAGES:,} images")
    images = (
        lake.scan("images")
        .select(
            "image_id", "jpeg_quality", short_edge_px=pl.min_horizontal("width_px", "height_px")
        )
        .unique("image_id", keep="any")
        .filter(~pl.col("image_id").is_in(list(leave_out)))
        .collect()
    )
    slices = [
        slice_of(short, quality)
        for short, quality in images.select("short_edge_px", "jpeg_quality").iter_rows()
    ]
    images = images.with_columns(pl.Series("slice", slices, dtype=pl.String)).sort("image_id")
    chosen = _spread(images, n_images)
    settle(lake)
    labels = best_labels(*(lake.scan(table) for table in ("reviews", "synthetics", "sightings")))
    known = labels.select("image_id", label=pl.col("label").replace_strict(_FAKE, default=None))
    return (
        chosen.lazy()
        .join(known, on="image_id", how="left")
        .select("image_id", "slice", pl.col("label").cast(pl.Int64))
        .sort("image_id")
        .collect()
    )


def _spread(images: pl.DataFrame, n_images: int) -> pl.DataFrame:
    """Take images from the slices in turn until there are enough."""
    turn = pl.int_range(pl.len()).over("slice")
    return images.with_columns(turn=turn).sort("turn", "image_id").head(n_images).drop("turn")


def halves(images: pl.DataFrame, n_images: int) -> tuple[list[str], pl.DataFrame]:
    """Split images into ids to quantise on and rows to measure on, both with all slices.

    Args:
        images: Images from `sample`.
        n_images: Largest number of images to quantise on.
    """
    # Every second image of each slice is held out; of small lakes every fourth, so that most are
    # left to quantise on.
    every = 2 if images.height >= 128 else 4
    parts = images.sort("image_id").with_columns(
        is_held_out=pl.int_range(pl.len()).over("slice") % every == every - 1
    )
    held_out = parts.filter("is_held_out").drop("is_held_out")
    chosen = _spread(parts.filter(~pl.col("is_held_out")), n_images)["image_id"].to_list()
    return chosen, _spread(held_out, MAX_HELD_OUT).sort("image_id")
