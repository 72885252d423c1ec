"""The sample of an audit: stratified by decision, drawn by a seed. Pure functions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Final

import polars as pl

from ...data.vocabulary import Decision

STRATA: Final[tuple[str, ...]] = tuple(decision.value for decision in Decision)
# Half of the sample goes to the cleared images, whose fakes nobody looks for otherwise.
_SHARES: Final = {Decision.CLEAR.value: 0.5, Decision.REVIEW.value: 0.25, Decision.FLAG.value: 0.25}


def sizes(counts: Mapping[str, int], *, n_images: int, cleared_share: float) -> dict[str, int]:
    """Return the number of images to draw per stratum.

    Args:
        counts: Number of images per decision.
        n_images: Size of the sample, if the strata have so many images.
        cleared_share: Smallest share of the cleared images that is drawn, in [0, 1].

    Returns:
        Numbers per decision with images, each at least 1 and at most the stratum's.
    """
    drawn = {}
    for stratum in STRATA:
        n_all = counts.get(stratum, 0)
        wanted = max(1, math.ceil(n_images * _SHARES[stratum]))
        if stratum == Decision.CLEAR.value:
            wanted = max(wanted, math.ceil(n_all * cleared_share))
        if n_all:
            drawn[stratum] = min(wanted, n_all)
    return drawn


def draw(decided: pl.DataFrame, n_per_stratum: Mapping[str, int], *, seed: int) -> pl.DataFrame:
    """Draw a simple random sample of each stratum without replacement.

    The order is that of a hash of seed and id: it depends on no score, no order of rows and no
    version of a random number generator, so that a draw can be made again.

    Args:
        decided: Columns image_id and decision.
        n_per_stratum: Number of images to draw per decision.
        seed: Seed of the order.

    Returns:
        Columns image_id, stratum, n_stratum and n_drawn, in the order of the draw.
    """
    parts = []
    for stratum, n_drawn in n_per_stratum.items():
        ids = decided.filter(pl.col("decision") == stratum)["image_id"].unique()
        ranks = [hashlib.sha256(f"{seed}:{image_id}".encode()).digest() for image_id in ids]
        chosen = sorted(zip(ranks, ids, strict=True))[:n_drawn]
        parts.append(
            pl.DataFrame(
                {
                    "image_id": [image_id for _, image_id in chosen],
                    "stratum": stratum,
                    "n_stratum": len(ids),
                    "n_drawn": len(chosen),
                },
                schema={
                    "image_id": pl.String,
                    "stratum": pl.String,
                    "n_stratum": pl.Int64,
                    "n_drawn": pl.Int64,
                },
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame()
