"""Decisions from scores: clear, review or flag, each with its reasons.

`decide` is a pure and total function of a table: every row gets one decision and at least one
reason. An image is never cleared if its metadata declares it AI-generated, if viewers may show it
differently from what was scored, if it has no score, or if it is too small: these go to review.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from ...data.vocabulary import Decision, DecisionReason, ScoreStatus
from .pixel_rules import MEASURES, broken_rules
from .policy import OutOfDomain, Policy

# Columns that a caller may leave out.
_OPTIONAL: Final = {
    "view_prob": pl.Float64,
    "doubt": pl.String,
    "known": pl.String,
    "delivered_low": pl.Float32,
    "delivered_p_real": pl.Float32,
    "p_domain": pl.Float32,
    **MEASURES,
}


def with_thresholds(scores: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return scores with the thresholds of each row's detector and domain.

    Args:
        scores: Columns detector and domain; others are kept.
        policy: Policy with the thresholds.

    Returns:
        The same rows in the same order with the columns `review_at` and `flag_at` (float32),
        `may_flag`, and `is_listed`, which is False if the row has a domain without thresholds in
        the policy.
    """
    scores = scores.with_columns(pl.col("detector", "domain").cast(pl.String))
    pairs = scores.select("detector", "domain").unique()
    bands = [policy.band(detector or "", domain) for detector, domain in pairs.iter_rows()]
    thresholds = pairs.with_columns(
        # Scores are stored as float32, in which 0.65 is less than the float64 threshold 0.65.
        pl.Series("review_at", [band.review_at for band, _ in bands], dtype=pl.Float32),
        pl.Series("flag_at", [band.flag_at for band, _ in bands], dtype=pl.Float32),
        pl.Series("may_flag", [band.may_flag for band, _ in bands], dtype=pl.Boolean),
        pl.Series("is_listed", [is_listed for _, is_listed in bands], dtype=pl.Boolean),
    )
    return scores.join(
        thresholds, on=["detector", "domain"], how="left", nulls_equal=True, maintain_order="left"
    )


def decide(
    scores: pl.DataFrame, policy: Policy, *, flag_limit: float | None = None
) -> pl.DataFrame:
    """Return scores with a decision and its reasons, by the rules of a policy.

    The first rule that holds decides:

    0. match with a known hash: the decision of its list, review or flag
    1. no score: review
    2. short edge below the minimum, or enlarged or heavily compressed by the policy's rules on
       pixels: review
    3. domain without thresholds, if the policy leaves such domains to review: review
    4. score at or above `flag_at`: flag, or review where the policy leaves flags to people or
       where the image is a graphic by the rules on pixels, or out of the domain of the
       calibration by the policy's rule, or the score of a delivery is lower than `flag_at`; under a
       policy with `fdr` p-values of at most `flag_limit` take the place of scores
    5. score at or above `review_at`: review
    6. declared AI-generated, a view at or above `flag_at`, a doubt, or out of domain where the
       policy leaves such images to people: review
    7. otherwise: clear

    Args:
        scores: Columns image_id, detector, status, prob_fake, width_px, height_px, domain,
            ai_declared and, optionally, view_prob (highest probability of any view), doubt,
            p_real, p_domain, and of the delivery with the lowest score delivered_low (logit) and
            delivered_p_real, and for the rules on pixels `pixel_rules.MEASURES`. Any value may be
            null; an unknown size counts as too small. known is the decision of a known hash.
        policy: Policy with rules and thresholds.
        flag_limit: Largest p-value of a flag under a policy with `fdr`, for the whole batch.

    Returns:
        The same rows in the same order with the columns `decision` (clear, review or flag) and
        `reasons` (list of `DecisionReason`, never empty).
    """
    columns = scores.columns
    scores = scores.with_columns(
        pl.lit(None, dtype=kind).alias(name)
        for name, kind in _OPTIONAL.items()
        if name not in columns
    )
    prob = pl.col("prob_fake").cast(pl.Float32)
    short_edge = pl.min_horizontal(
        pl.col("width_px").cast(pl.Int64).fill_null(-1),
        pl.col("height_px").cast(pl.Int64).fill_null(-1),
    )
    has_score = (pl.col("status") == ScoreStatus.SCORED.value) & prob.is_between(0, 1)
    is_above = prob >= pl.col("flag_at")
    delivered = 1 / (1 + (-pl.col("delivered_low").cast(pl.Float64)).exp())
    is_held = delivered.cast(pl.Float32) >= pl.col("flag_at")
    if policy.fdr is not None:
        is_above = pl.col("p_real") <= pl.lit(flag_limit or 0.0, dtype=pl.Float32)
        is_held = pl.col("delivered_p_real").cast(pl.Float32) <= pl.lit(
            flag_limit or 0.0, dtype=pl.Float32
        )
    facts = with_thresholds(scores, policy).with_columns(
        # is_between gives null for null, hence fill_null, and False for NaN.
        has_score=has_score.fill_null(value=False),
        is_small=short_edge < policy.min_short_edge_px,
        is_declared=pl.col("ai_declared").cast(pl.String).str.strip_chars().fill_null("") != "",
        is_seen_otherwise=pl.col("doubt").is_not_null(),
        is_flagged=is_above.fill_null(value=False),
        is_held=is_held.fill_null(value=True),
        **broken_rules(policy.pixels),
        is_foreign=_is_foreign(policy.out_of_domain),
        is_doubtful=(prob >= pl.col("review_at")).fill_null(value=False),
        is_raised=(pl.col("view_prob").cast(pl.Float32) >= pl.col("flag_at")).fill_null(
            value=False
        ),
    )
    can_judge = pl.col("has_score") & ~pl.any_horizontal("is_small", "is_enlarged", "is_squeezed")
    left_to_people = (
        ~pl.col("is_listed") if policy.unlisted_domain == "review" else pl.lit(value=False)
    )
    is_left = pl.any_horizontal("is_graphic", "is_foreign")
    raised = ["is_doubtful", "is_declared", "is_raised", "is_seen_otherwise"]
    if policy.out_of_domain is not None and policy.out_of_domain.clears == "review":
        raised.append("is_foreign")
    decision = (
        pl.when(pl.col("known").is_not_null())
        .then("known")
        .when(~can_judge | left_to_people)
        .then(pl.lit(Decision.REVIEW.value))
        .when(pl.col("is_flagged"))
        .then(
            pl.when(pl.col("may_flag") & pl.col("is_held") & ~is_left)
            .then(pl.lit(Decision.FLAG.value))
            .otherwise(pl.lit(Decision.REVIEW.value))
        )
        .when(pl.any_horizontal(raised))
        .then(pl.lit(Decision.REVIEW.value))
        .otherwise(pl.lit(Decision.CLEAR.value))
    )
    # In reading order: the reason that decided first, notes last.
    holds = {
        DecisionReason.KNOWN_HASH: pl.col("known").is_not_null(),
        DecisionReason.NOT_SCORED: ~pl.col("has_score"),
        DecisionReason.LOW_RESOLUTION: pl.col("is_small"),
        DecisionReason.ENLARGED: pl.col("is_enlarged"),
        DecisionReason.HEAVY_COMPRESSION: pl.col("is_squeezed"),
        DecisionReason.UNCALIBRATED: can_judge & pl.col("is_flagged") & ~pl.col("may_flag"),
        DecisionReason.UNSTABLE: can_judge & pl.col("is_flagged") & ~pl.col("is_held"),
        DecisionReason.GRAPHIC: can_judge & pl.col("is_graphic"),
        DecisionReason.OUT_OF_DOMAIN: can_judge & pl.col("is_foreign"),
        DecisionReason.AT_OR_ABOVE_FLAG: can_judge & pl.col("is_flagged"),
        DecisionReason.IN_REVIEW_BAND: can_judge & ~pl.col("is_flagged") & pl.col("is_doubtful"),
        DecisionReason.BELOW_REVIEW: can_judge & ~pl.col("is_doubtful"),
        DecisionReason.VIEW_ABOVE_FLAG: can_judge & pl.col("is_raised"),
        DecisionReason.DECLARED_AI: pl.col("is_declared"),
        DecisionReason.NOT_AS_SEEN: pl.col("is_seen_otherwise"),
        DecisionReason.NO_DOMAIN_THRESHOLD: can_judge & ~pl.col("is_listed"),
    }
    reasons = pl.concat_list(
        [pl.when(condition).then(pl.lit(reason.value)) for reason, condition in holds.items()]
    ).list.drop_nulls()
    decided = facts.select(decision=decision, reasons=reasons)
    return scores.select(columns).with_columns(decided.get_columns())


def _is_foreign(rule: OutOfDomain | None) -> pl.Expr:
    """Return whether an image is out of the domain of the calibration, never null."""
    if rule is None:
        return pl.lit(value=False)
    # Both sides rounded to float32, as stored, so that 1 / 20 is at most 0.05.
    return (pl.col("p_domain").cast(pl.Float32) <= pl.lit(rule.level, pl.Float32)).fill_null(
        value=False
    )
