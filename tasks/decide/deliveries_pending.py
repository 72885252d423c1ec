"""Images whose flag the delivery check has not looked at yet."""

from __future__ import annotations

from typing import Final

import polars as pl

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.vocabulary import Decision, DecisionReason
from ...synth.laundering import DELIVERIES
from ..delivery.delivered import Mode, delivered_range
from ..latest_rows import parts_of
from .decide import with_thresholds
from .decide_images import applied_policy
from .policy import Policy

NEXT_MARGIN: Final = 3.0
"""Distance in logits above `flag_at` of a delivery from which no further one is scored."""


def deliveries_pending(
    lake: Lake, key: ScoreKey, policy: Policy, *, mode: Mode, image_ids: pl.Series | None = None
) -> pl.DataFrame:
    """Return the images with deliveries to score, in the order of the stored bytes.

    Those are the images that the policy flags by what is known so far. So an image whose flag did
    not hold under its first delivery is pending no longer, and neither is one whose first delivery
    scores by `NEXT_MARGIN` or more above the threshold.

    Args:
        lake: Lake of the images.
        key: Key of the scores.
        policy: Policy that flags.
        mode: Choice of images: `flags`; `band`, which adds those in the review band; `off`.
        image_ids: Ids to choose from; None for all images of the lake.

    Returns:
        Columns image_id, shard, row_group, row.

    Raises:
        ConfigError: The calibration of the policy cannot be used.
        StoreError: The lake cannot be read.
    """
    places = ["image_id", "shard", "row_group", "row"]
    pending = [lake.scan("images").select(places).head(0).collect()]
    if mode != "off":
        # A copy is not scored for the decision of another one.
        alone = policy.model_copy(update={"copies": "alone"})
        rules = applied_policy(lake, alone, key, image_ids)
        is_asked = pl.col("decision") == Decision.FLAG.value
        if mode == "band":
            is_asked |= pl.col("reasons").list.contains(DecisionReason.IN_REVIEW_BAND.value)
        for part in parts_of(lake, image_ids):
            asked = rules.decide(rules.facts(lake, part, key)).filter(is_asked)
            if policy.fdr is None:
                asked = with_thresholds(asked, policy).filter(~_is_far_above())
            done = delivered_range(lake, key, part=part).filter(
                pl.col("n_deliveries") >= len(DELIVERIES)
            )
            images = part.rows(lake, "images").select(places)
            pending.append(
                images.join(asked.lazy().select("image_id"), on="image_id", how="semi")
                .join(done, on="image_id", how="anti")
                .unique("image_id", keep="any")
                .collect()
            )
    return pl.concat(pending).sort("shard", "row_group", "row")


def _is_far_above() -> pl.Expr:
    """Return whether all deliveries scored so far are far above the threshold of a flag."""
    flag_at = pl.col("flag_at").cast(pl.Float64)
    flag_logit = (flag_at / (1 - flag_at)).log()
    is_far = pl.col("delivered_low").cast(pl.Float64) >= flag_logit + NEXT_MARGIN
    return is_far.fill_null(value=False)
