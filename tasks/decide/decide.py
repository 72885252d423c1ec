"""Decisions from scores: clear, review or flag, each with its reasons.

`decide` is a pure and total function of a table: every row gets one decision and at least one
reason. An image is never cleared if its metadata declares it AI-generated, if viewers may show it
differently from what was scored, if it has no score, or if it is too small: these go to review.
"""

from __future__ import annotations

import functools
import hashlib
from datetime import UTC, datetime

import polars as pl

from ...data.schema import Decision, DecisionReason, ScoreStatus
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..append_missing import retry_conflicts
from ..latest_rows import Part, latest_decisions, latest_scores, latest_sightings, parts_of
from ..views import highest_views
from .policy import Policy

__all__ = ["decide", "decide_images", "with_thresholds"]


def with_thresholds(scores: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return scores with the thresholds of each row's detector and domain.

    Args:
        scores: Columns detector and domain; others are kept.
        policy: Policy with the thresholds.

    Returns:
        The same rows in the same order with the columns `review_at` and `flag_at` (float32) and
        `is_listed`, which is False if the row has a domain without thresholds in the policy.
    """
    scores = scores.with_columns(pl.col("detector", "domain").cast(pl.String))
    pairs = scores.select("detector", "domain").unique()
    bands = [policy.band(detector or "", domain) for detector, domain in pairs.iter_rows()]
    thresholds = pairs.with_columns(
        # Scores are stored as float32, in which 0.65 is less than the float64 threshold 0.65.
        pl.Series("review_at", [band.review_at for band, _ in bands], dtype=pl.Float32),
        pl.Series("flag_at", [band.flag_at for band, _ in bands], dtype=pl.Float32),
        pl.Series("is_listed", [is_listed for _, is_listed in bands], dtype=pl.Boolean),
    )
    return scores.join(
        thresholds, on=["detector", "domain"], how="left", nulls_equal=True, maintain_order="left"
    )


def decide(scores: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return scores with a decision and its reasons, by the rules of a policy.

    The first rule that holds decides:

    1. no score: review
    2. short edge below the minimum: review
    3. domain without thresholds, if the policy leaves such domains to review: review
    4. score at or above `flag_at`: flag
    5. score at or above `review_at`: review
    6. declared AI-generated, a view at or above `flag_at`, or a doubt: review
    7. otherwise: clear

    Args:
        scores: Columns image_id, detector, status, prob_fake, width_px, height_px, domain,
            ai_declared and, optionally, view_prob (highest probability of any view) and doubt.
            Any value may be null; an unknown size counts as too small.
        policy: Policy with rules and thresholds.

    Returns:
        The same rows in the same order with the columns `decision` (clear, review or flag) and
        `reasons` (list of `DecisionReason`, never empty).
    """
    columns = scores.columns
    if "view_prob" not in columns:
        scores = scores.with_columns(view_prob=pl.lit(None, dtype=pl.Float64))
    if "doubt" not in columns:
        scores = scores.with_columns(doubt=pl.lit(None, dtype=pl.String))
    prob = pl.col("prob_fake").cast(pl.Float32)
    short_edge = pl.min_horizontal(
        pl.col("width_px").cast(pl.Int64).fill_null(-1),
        pl.col("height_px").cast(pl.Int64).fill_null(-1),
    )
    has_score = (pl.col("status") == ScoreStatus.SCORED.value) & prob.is_between(0, 1)
    facts = with_thresholds(scores, policy).with_columns(
        # is_between gives null for null, hence fill_null, and False for NaN.
        has_score=has_score.fill_null(value=False),
        is_small=short_edge < policy.min_short_edge_px,
        is_declared=pl.col("ai_declared").cast(pl.String).str.strip_chars().fill_null("") != "",
        is_seen_otherwise=pl.col("doubt").is_not_null(),
        is_flagged=(prob >= pl.col("flag_at")).fill_null(value=False),
        is_doubtful=(prob >= pl.col("review_at")).fill_null(value=False),
        is_raised=(pl.col("view_prob").cast(pl.Float32) >= pl.col("flag_at")).fill_null(
            value=False
        ),
    )
    can_judge = pl.col("has_score") & ~pl.col("is_small")
    left_to_people = (
        ~pl.col("is_listed") if policy.unlisted_domain == "review" else pl.lit(value=False)
    )
    decision = (
        pl.when(~can_judge | left_to_people)
        .then(pl.lit(Decision.REVIEW.value))
        .when(pl.col("is_flagged"))
        .then(pl.lit(Decision.FLAG.value))
        .when(pl.any_horizontal("is_doubtful", "is_declared", "is_raised", "is_seen_otherwise"))
        .then(pl.lit(Decision.REVIEW.value))
        .otherwise(pl.lit(Decision.CLEAR.value))
    )
    # In reading order: the reason that decided first, notes last.
    holds = {
        DecisionReason.NOT_SCORED: ~pl.col("has_score"),
        DecisionReason.LOW_RESOLUTION: pl.col("is_small"),
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


def decide_images(
    lake: Lake,
    *,
    image_ids: pl.Series | None,
    key: ScoreKey,
    policy: Policy,
    run_id: str,
) -> dict[str, int]:
    """Decide images by their current scores, and append the decisions that are new.

    An image without a score gets a decision too (review, not_scored). The domain of an image is
    that of its latest sighting. A row is written only if decision or reasons differ from the
    latest row of the image under this key and policy, so that a repeated call writes none.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images; None for all images of the lake.
        key: Key of the scores. A policy that was widened by the drift of one precision does not
            fit the scores of another.
        policy: Policy with rules and thresholds.
        run_id: Id of the run, written to the new rows.

    Returns:
        Number of images per `Decision`, over all of `image_ids`.

    Raises:
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written.
    """
    counts = {decision.value: 0 for decision in Decision}
    for part in parts_of(lake, image_ids):
        decided = retry_conflicts(
            functools.partial(_decide_part, lake, part, key, policy=policy, run_id=run_id)
        )
        for decision, n_images in decided["decision"].value_counts().iter_rows():
            counts[decision] += n_images
    return counts


def _decide_part(
    lake: Lake, part: Part, key: ScoreKey, *, policy: Policy, run_id: str
) -> pl.DataFrame:
    """Decide a part of the images, and append what differs from the decisions at one version."""
    # Pinned before the scores are read, so that a concurrent run with outdated scores conflicts.
    version = lake.version("decisions")
    facts = (
        _score_facts(lake, part, key)
        .join(highest_views(lake, key, part=part), on="image_id", how="left")
        .with_columns(detector=pl.lit(key.detector))
    )
    decided = decide(facts.collect(), policy)
    known = latest_decisions(
        lake, key, policy_id=policy.policy_id, part=part, version=version
    ).select("image_id", was=_in_words())
    fresh = (
        decided.lazy()
        .with_columns(now=_in_words())
        .join(known, on="image_id", how="left")
        .filter(pl.col("was").is_null() | (pl.col("was") != pl.col("now")))
        .sort("image_id")
        .collect()
    )
    if fresh.height:
        _record(lake, fresh, key, policy.policy_id, run_id, after=version or 0)
    return decided


def _score_facts(lake: Lake, part: Part, key: ScoreKey) -> pl.LazyFrame:
    images = part.rows(lake, "images").select(
        "image_id", "width_px", "height_px", "ai_declared", "doubt"
    )
    scores = latest_scores(lake, key, part=part)
    domains = latest_sightings(lake, part=part).select("image_id", "domain")
    return (
        # An interrupted ingest may leave two rows of one image, which gets one decision.
        images.unique(subset=["image_id"], keep="any")
        .join(scores.select("image_id", "status", "prob_fake"), on="image_id", how="left")
        .join(domains, on="image_id", how="left")
    )


def _in_words() -> pl.Expr:
    return pl.concat_str("decision", pl.col("reasons").list.join(","), separator=":")


def _record(
    lake: Lake, fresh: pl.DataFrame, key: ScoreKey, policy_id: str, run_id: str, *, after: int
) -> None:
    rows = fresh.select(
        "image_id",
        **{name: pl.lit(value) for name, value in key.as_row().items()},
        policy_id=pl.lit(policy_id),
        calibration_id=pl.lit(None, dtype=pl.String),
        prob_calibrated=pl.lit(None, dtype=pl.Float32),
        decision="decision",
        reasons="reasons",
        group_id=pl.lit(None, dtype=pl.String),
        run_id=pl.lit(run_id),
        decided_at=pl.lit(datetime.now(UTC)).dt.cast_time_unit("us"),
    )
    # The content is part of the transaction's name: a retry of the same write commits once, and
    # a resumed run with other rows is not taken for a retry.
    content = hashlib.sha256()
    for image_id, words in fresh.select("image_id", "now").iter_rows():
        content.update(f"{image_id} {words}\n".encode())
    txn = f"decide:{run_id}:{policy_id}:{content.hexdigest()[:16]}"
    lake.append("decisions", rows, txn=txn, after=after)
