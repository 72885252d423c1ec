"""The order in which images are put before reviewers; a pure function of a table.

1. Flagged with doubt: the score lies close above the flag threshold, the source calls the image
   real, or viewers may show another image. A wrong flag harms most.
2. Left to people by the policy (`review`).
3. All others.

In each tier, copies come after all images that are no copies: of near-duplicates one is shown.
Domains take turns, so that a small one is not drowned by a large one. Within a domain, the image
whose score is nearest to a threshold comes first, measured in logits, in which the detector's
uncertainty is even; images without a score come last.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import polars as pl

from ....data.vocabulary import Decision, DecisionReason, Label
from ...copies.near_duplicates import group_near_duplicates

# One logit above a threshold of 0.5 is a score of 0.73.
DOUBT_LOGIT: Final = 1.0


class Tier(IntEnum):
    """Tier of an image in the queue; the lowest comes first."""

    DOUBTFUL_FLAG = 1
    REVIEW = 2
    OTHER = 3


def rank(
    images: pl.DataFrame, *, known_hashes: pl.Series | None = None, seed: int = 0
) -> pl.DataFrame:
    """Return images in the order of the queue.

    Args:
        images: Columns image_id, decision, reasons, logit, review_at and flag_at (probabilities),
            domain, source_label, phash; others are kept. All but image_id and phash may be null. A
            column `tier` stands in place of the rule above.
        known_hashes: Perceptual hashes of images that people have answered; images like them are
            copies.
        seed: Seed of the order among equals.

    Returns:
        The same rows with the columns tier, distance (to the nearest threshold, in logits) and
        is_copy, sorted.
    """
    images = _by_distance(images, seed)
    images = images.with_columns(is_copy=_are_copies(images, known_hashes))
    return _in_turn(images, "tier", "is_copy").drop("tie")


def shortlist(images: pl.DataFrame, n: int, *, seed: int = 0) -> pl.DataFrame:
    """Return the first `n` images in the order of the queue, without regard to copies.

    Copies are found in time that grows faster than the number of images.

    Args:
        images: Columns as for `rank`.
        n: Number of images.
        seed: Seed of the order among equals.
    """
    if images.height <= n:
        return images
    return _in_turn(_by_distance(images, seed), "tier").head(n).select(images.columns)


def _by_distance(images: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return images with tier, distance and a tie-breaker, sorted by these."""
    if "tier" not in images.columns:
        images = images.with_columns(tier=_tier())
    images = images.with_columns(distance=distance(), tie=pl.col("image_id").hash(seed=seed))
    return images.sort("tier", "distance", "tie", "image_id", nulls_last=True)


def _in_turn(images: pl.DataFrame, *groups: str) -> pl.DataFrame:
    """Return sorted images with the domains of each group taking turns."""
    turn = pl.int_range(pl.len()).over(*groups, "domain")
    order = (*groups, "turn", "distance", "tie", "image_id")
    return images.with_columns(turn=turn).sort(order, nulls_last=True).drop("turn")


def distance() -> pl.Expr:
    """Return the distance of a score to the nearest threshold in logits; null without a score.

    Thresholds of 0 and 1 (always, never) are infinitely far. Without any other the distance is
    that to the score 0.5.
    """
    edges = [(pl.col("logit") - logit_of(name)).abs() for name in ("review_at", "flag_at")]
    nearest = pl.min_horizontal(edges)
    return pl.when(nearest.is_finite()).then(nearest).otherwise(pl.col("logit").abs())


def logit_of(name: str) -> pl.Expr:
    """Return the logit of a column of probabilities."""
    prob = pl.col(name).cast(pl.Float64)
    return (prob / (1 - prob)).log()


def is_doubtful() -> pl.Expr:
    """Return the condition under which a flag is in doubt."""
    conditions = (
        pl.col("source_label") == Label.REAL.value,
        pl.col("reasons").list.contains(DecisionReason.NOT_AS_SEEN.value),
        (pl.col("logit") - logit_of("flag_at")).is_between(0, DOUBT_LOGIT),
    )
    is_flag = pl.col("decision") == Decision.FLAG.value
    return (is_flag & pl.any_horizontal(conditions)).fill_null(value=False)


def _tier() -> pl.Expr:
    return (
        pl.when(is_doubtful())
        .then(Tier.DOUBTFUL_FLAG.value)
        .when(pl.col("decision") == Decision.REVIEW.value)
        .then(Tier.REVIEW.value)
        .otherwise(Tier.OTHER.value)
        .cast(pl.Int8)
    )


def _are_copies(images: pl.DataFrame, known_hashes: pl.Series | None) -> pl.Series:
    """Return whether an image earlier in the order, or an answered one, is a near-duplicate."""
    known = (
        pl.Series("phash", known_hashes, dtype=pl.String).drop_nulls().unique(maintain_order=True)
    )
    # Known ones first: then each group has its first member to show, or none.
    hashes = pl.concat([known, images["phash"].rename("phash")])
    nodes = pl.DataFrame({"phash": hashes}).with_row_index("ingested_at")
    nodes = nodes.with_columns(image_id=pl.format("{}", pl.col("ingested_at")).str.zfill(16))
    lineage = pl.DataFrame(schema={"image_id": pl.String, "parent_id": pl.String})
    groups = group_near_duplicates(nodes, lineage)["group_id"]
    return (~groups.is_first_distinct()).tail(images.height).rename("is_copy")
