"""Decisions of images of a lake: facts in, decisions and reasons out, and the new ones recorded.

A policy with a calibration adds the p-value and the calibrated probability of each image.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from ...data.errors import ConfigError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.vocabulary import Decision
from ..append_missing import retry_conflicts
from ..copies.groups import find_groups, labels_of, together
from ..delivery.delivered import delivered_range
from ..hashes.known_hashes import KNOWN, known_decisions
from ..latest_rows import Named, Part, latest_decisions, latest_scores, latest_sightings, parts_of
from ..measures.measures import measures_of
from ..views import highest_views
from .calibration import Calibration, find_calibration
from .conformal import rejection_limit
from .decide import decide
from .decision_log import Tail, chained, tail_of, with_inputs
from .domain_facts import domain_facts
from .pixel_rules import bits_per_pixel
from .policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPolicy:
    """A policy with what it takes from the lake and from the batch.

    Attributes:
        policy: Policy with rules and thresholds.
        calibration: Calibration that the policy names; None without one, or for other scores.
        flag_limit: Largest p-value of a flag in this batch; None unless the policy has `fdr`.
        groups: Groups of copies of the batch; None unless the policy decides them together.
    """

    policy: Policy
    calibration: Calibration | None
    flag_limit: float | None
    groups: pl.DataFrame | None = None

    def decide(self, scores: pl.DataFrame) -> pl.DataFrame:
        """Return scores with decisions, reasons, p-values and `prob_calibrated`; see `decide`."""
        nothing = pl.lit(None, dtype=pl.Float32)
        if self.calibration is None:
            scores = scores.with_columns(p_real=nothing, prob_calibrated=nothing)
        else:
            delivered = self.calibration.with_columns(scores.with_columns(logit="delivered_low"))
            scores = self.calibration.with_columns(scores).with_columns(
                delivered_p_real=delivered["p_real"]
            )
        if "p_domain" not in scores.columns:
            scores = scores.with_columns(p_domain=nothing)
        return decide(scores, self.policy, flag_limit=self.flag_limit)

    def facts(self, lake: Lake, part: Part, key: ScoreKey) -> pl.DataFrame:
        """Return what `decide` reads of the images of a part, one row per image.

        Raises:
            StoreError: The lake cannot be read.
        """
        facts = decision_facts(lake, part, key).collect()
        if self.policy.out_of_domain is None or self.calibration is None:
            return facts
        near = domain_facts(lake, part, facts.select("image_id", "domain"), key, self.calibration)
        return facts.join(near.drop("domain_distance"), on="image_id", how="left")


def decided_part(lake: Lake, part: Part, key: ScoreKey, rules: AppliedPolicy) -> pl.DataFrame:
    """Return the facts of a part of the images with their decisions, and those of their groups.

    Args:
        lake: Lake of the images.
        part: Part of the images.
        key: Key of the scores.
        rules: Policy with what it takes from the lake.

    Raises:
        StoreError: The lake cannot be read.
    """
    decided = rules.decide(rules.facts(lake, part, key))
    if rules.groups is None:
        return decided.with_columns(group_id=pl.lit(None, dtype=pl.String))
    mine = decided.select("image_id").join(rules.groups, on="image_id")
    members = rules.groups.join(mine, on="group_id", how="semi")
    leads = decided
    others = mine.filter(~pl.col("lead_id").is_in(decided["image_id"].implode()))[
        "lead_id"
    ].unique()
    if len(others):
        outside = rules.facts(lake, Named(ids=tuple(others)), key)
        names = ["image_id", "decision"]
        leads = pl.concat([decided.select(names), rules.decide(outside).select(names)])
    labels = labels_of(lake.rows_of("reviews", members["image_id"]), members)
    return together(decided, leads, rules.groups, labels)


def applied_policy(
    lake: Lake, policy: Policy, key: ScoreKey, image_ids: pl.Series | None
) -> AppliedPolicy:
    """Return a policy with its calibration and, under `fdr`, the limit of a batch.

    Args:
        lake: Lake of the images.
        policy: Policy with rules and thresholds.
        key: Key of the scores.
        image_ids: Ids of the images of the batch; None for all images of the lake.

    Raises:
        ConfigError: The lake does not have the calibration, or flags would follow from the
            p-values of one that was made for other scores, or images would be compared with one
            that has no embeddings.
        StoreError: The lake cannot be read.
    """
    rules = _calibrated(lake, policy, key, image_ids)
    if policy.copies == "alone":
        return rules
    return replace(rules, groups=find_groups(lake, image_ids))


def _calibrated(
    lake: Lake, policy: Policy, key: ScoreKey, image_ids: pl.Series | None
) -> AppliedPolicy:
    """Return a policy with its calibration and the limit of its flags; see `applied_policy`."""
    if policy.calibration is None:
        return AppliedPolicy(policy=policy, calibration=None, flag_limit=None)
    calibration = find_calibration(lake, policy.calibration)
    if calibration.key != key:
        if policy.fdr is not None:
            raise ConfigError(
                f"the policy flags by p-values of {policy.calibration}, made for"
                f" {calibration.key.describe()}; the scores are by {key.describe()}. Score with"
                " that detector and precision, or run `assay calibrate` for this one"
            )
        # The thresholds hold for their detector in every precision; p-values do not.
        return AppliedPolicy(policy=policy, calibration=None, flag_limit=None)
    if policy.out_of_domain is not None and not calibration.embeddings:
        raise ConfigError(
            f"the policy has a rule on images that are out of domain, but {policy.calibration} has"
            " no embeddings: an earlier version made it, or its detector gives none. Run"
            " `assay calibrate` again, or remove `[out_of_domain]` from the policy"
        )
    if policy.fdr is None:
        return AppliedPolicy(policy=policy, calibration=calibration, flag_limit=None)
    p_real = [
        calibration.with_columns(_score_facts(lake, part, key).collect())["p_real"]
        for part in parts_of(lake, image_ids)
    ]
    joined = pl.concat(p_real) if p_real else pl.Series("p_real", dtype=pl.Float32)
    limit = rejection_limit(joined.cast(pl.Float64).fill_null(np.nan).to_numpy(), policy.fdr)
    return AppliedPolicy(policy=policy, calibration=calibration, flag_limit=limit)


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
        ConfigError: The policy names a calibration that the lake does not have, or flags by the
            p-values of one that was made for other scores.
        StoreError: The lake cannot be read or written.
    """
    counts = {decision.value: 0 for decision in Decision}
    rules = applied_policy(lake, policy, key, image_ids)
    # A repeated step of a run goes on with the log that it has begun.
    tail = tail_of(lake, run_id)
    for part in parts_of(lake, image_ids):
        decided, tail = retry_conflicts(
            functools.partial(_decide_part, lake, part, key, rules=rules, run_id=run_id, tail=tail)
        )
        for decision, n_images in decided["decision"].value_counts().iter_rows():
            counts[decision] += n_images
    return counts


def _decide_part(
    lake: Lake, part: Part, key: ScoreKey, *, rules: AppliedPolicy, run_id: str, tail: Tail
) -> tuple[pl.DataFrame, Tail]:
    """Decide a part of the images, and append what differs from the decisions at one version.

    Returns:
        All decisions of the part, and the end of the run's log.
    """
    # Pinned before the scores are read, so that a concurrent run with outdated scores conflicts.
    version = lake.version("decisions")
    policy_id = rules.policy.policy_id
    decided = decided_part(lake, part, key, rules)
    known = latest_decisions(lake, key, policy_id=policy_id, part=part, version=version).select(
        "image_id", was=_in_words()
    )
    fresh = (
        decided.lazy()
        .with_columns(now=_in_words())
        .join(known, on="image_id", how="left")
        .filter(pl.col("was").is_null() | (pl.col("was") != pl.col("now")))
        .sort("image_id")
        .collect()
    )
    if fresh.height:
        logged = with_inputs(fresh, key, rules.policy)
        tail = _record(lake, logged, key, rules.policy, run_id, after=version or 0, tail=tail)
    return decided, tail


def decision_facts(lake: Lake, part: Part, key: ScoreKey) -> pl.LazyFrame:
    """Return what `decide` reads of the images of a part, one row per image."""
    known = pl.DataFrame(schema=KNOWN)
    if lake.version("known_hashes") is not None:
        known = known_decisions(lake, measures_of(lake, part).select("image_id", "pdq").collect())
    return (
        _score_facts(lake, part, key)
        .join(known.lazy(), on="image_id", how="left")
        .join(highest_views(lake, key, part=part), on="image_id", how="left")
        .join(delivered_range(lake, key, part=part), on="image_id", how="left")
        .with_columns(detector=pl.lit(key.detector))
    )


def _score_facts(lake: Lake, part: Part, key: ScoreKey) -> pl.LazyFrame:
    images = part.rows(lake, "images").select(
        *("image_id", "width_px", "height_px", "ai_declared", "doubt", "jpeg_quality"),
        bits_per_pixel=bits_per_pixel(),
    )
    scores = latest_scores(lake, key, part=part)
    domains = latest_sightings(lake, part=part).select("image_id", "domain")
    measures = measures_of(lake, part).drop("pdq")
    return (
        # An interrupted ingest may leave two rows of one image, which gets one decision.
        images.unique(subset=["image_id"], keep="any")
        .join(scores.select("image_id", "status", "logit", "prob_fake"), on="image_id", how="left")
        .join(domains, on="image_id", how="left")
        .join(measures, on="image_id", how="left")
    )


def _in_words() -> pl.Expr:
    return pl.concat_str("decision", pl.col("reasons").list.join(","), separator=":")


def _record(
    lake: Lake,
    fresh: pl.DataFrame,
    key: ScoreKey,
    policy: Policy,
    run_id: str,
    *,
    after: int,
    tail: Tail,
) -> Tail:
    """Append decisions to the table and to the log of their run; return the end of the log."""
    policy_id = policy.policy_id
    rows = fresh.select(
        "image_id",
        **{name: pl.lit(value) for name, value in key.as_row().items()},
        policy_id=pl.lit(policy_id),
        calibration_id=pl.when(pl.col("p_real").is_not_null()).then(
            pl.lit(policy.calibration, dtype=pl.String)
        ),
        prob_calibrated="prob_calibrated",
        p_real="p_real",
        p_domain="p_domain",
        inputs_sha256="inputs_sha256",
        decision="decision",
        reasons="reasons",
        group_id="group_id",
        run_id=pl.lit(run_id),
        decided_at=pl.lit(datetime.now(UTC)).dt.cast_time_unit("us"),
    )
    # The content is part of the transaction's name: a retry of the same write commits once, and
    # a resumed run with other rows is not taken for a retry.
    content = hashlib.sha256()
    for image_id, words in fresh.select("image_id", "now").iter_rows():
        content.update(f"{image_id} {words}\n".encode())
    txn = f"decide:{run_id}:{policy_id}:{content.hexdigest()[:16]}"
    linked, tail = chained(rows, tail)
    lake.append("decisions", linked, txn=txn, after=after)
    return tail
