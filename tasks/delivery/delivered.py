"""What the delivery check has found, and which images it is still to look at."""

from __future__ import annotations

from typing import Final, Literal

import polars as pl

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...synth.laundering import DELIVERIES
from ..latest_rows import WHOLE, Part

Mode = Literal["off", "flags", "band"]
MODES: Final = ("off", "flags", "band")


def delivered_range(lake: Lake, key: ScoreKey, *, part: Part = WHOLE) -> pl.LazyFrame:
    """Return the range of the logits of each image over its deliveries.

    Args:
        lake: Lake of the deliveries.
        key: Key of the scores.
        part: Part of the images.

    Returns:
        Columns image_id, delivered_low and delivered_high, logits, null if no delivery has a
        score, and n_deliveries, the number of rows.
    """
    is_current = pl.col("delivery").is_in([delivery.name for delivery in DELIVERIES])
    return (
        part.rows(lake, "deliveries")
        .filter(key.where() & is_current)
        .group_by("image_id")
        .agg(
            delivered_low=pl.col("logit").min(),
            delivered_high=pl.col("logit").max(),
            n_deliveries=pl.col("delivery").n_unique(),
        )
    )
