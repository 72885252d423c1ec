"""The tables read for the queue: images that may be put before a reviewer, with their facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from ....data.schema import TABLES
from ....data.score_key import ScoreKey
from ....data.store.lake import Lake
from ...decide.decide import with_thresholds
from ...decide.policy import Policy
from ...decide.recorded_policy import recorded_policy
from ...labels import best_labels
from ...latest_rows import (
    Part,
    last_judgement,
    latest_decisions,
    latest_scores,
    latest_sightings,
    parts_of,
)
from .ranking import rank, shortlist

# Best images of the queue that are in memory; more are read when these run out.
MAX_RANKED: Final = 20_000
# Each part reads the sightings of the whole lake, since they are not sorted by image.
ROWS_AT_A_TIME: Final = 250_000
# Copies are looked for among so many times the images that are kept.
SHORTLISTED: Final = 4
# Answered images that count as known when copies are found, the latest ones.
MAX_KNOWN: Final = 20_000

_UNKNOWN_PRECISION: Final = ScoreKey(detector="", weights_sha256="", profile="", precision="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Scores and decisions that the queue follows.

    Attributes:
        key: Key of the scores; None if nothing is scored.
        policy_id: Id of the policy; None if nothing is decided.
        policy: Policy with the thresholds; None if no record has it.
    """

    key: ScoreKey | None
    policy_id: str | None
    policy: Policy | None

    @classmethod
    def of(cls, lake: Lake, key: ScoreKey | None, policy_id: str | None) -> Judged:
        """Return the given key and policy, and the last ones of the lake in place of None.

        Args:
            lake: Lake of the scores.
            key: Key of the scores.
            policy_id: Id of the policy.

        Raises:
            StoreError: The lake cannot be read.
        """
        if key is None or policy_id is None:
            last = last_judgement(lake, policy_id=policy_id)
            if last is not None:
                policy_id = policy_id or (last.policy_id if key in {None, last.key} else None)
                key = key or last.key
        policy = None if policy_id is None else recorded_policy(lake, policy_id)
        return cls(key=key, policy_id=policy_id, policy=policy)


def answered_images(answers: pl.LazyFrame) -> pl.DataFrame:
    """Return one row per answered image.

    Args:
        answers: Standing answers.

    Returns:
        Columns image_id, reviewers, labels (lists) and answered_at.
    """
    return (
        answers.group_by("image_id")
        .agg(
            reviewers=pl.col("reviewer").unique(),
            labels=pl.col("label").unique(),
            answered_at=pl.col("reviewed_at").max(),
        )
        .collect()
    )


def known_hashes(lake: Lake, answered: pl.DataFrame) -> pl.Series:
    """Return the perceptual hashes of the latest answered images.

    Args:
        lake: Lake of the images.
        answered: Rows of `answered_images`.

    Raises:
        StoreError: The lake cannot be read.
    """
    latest = answered.select("image_id", "answered_at").top_k(MAX_KNOWN, by="answered_at")
    return lake.rows_of("images", latest["image_id"]).select("phash").collect()["phash"]


def best_candidates(
    lake: Lake, judged: Judged, *, without: pl.Series, known: pl.Series, seed: int
) -> tuple[pl.DataFrame, bool]:
    """Return the first images of the queue, and whether there are more.

    Images that assay made are left out, since their label is known. The lake is read in parts, so
    that memory does not follow its size.

    Args:
        lake: Lake of the images.
        judged: Scores and decisions to follow.
        without: Ids of images to leave out.
        known: Perceptual hashes of answered images.
        seed: Seed of the order among equals.

    Raises:
        StoreError: The lake cannot be read.
    """
    best: pl.DataFrame | None = None
    has_more = False
    for part in parts_of(lake, None, rows_at_a_time=ROWS_AT_A_TIME):
        images = candidates(lake, judged, part)
        images = images.filter(~pl.col("is_made")).join(
            without.rename("image_id").to_frame(), on="image_id", how="anti"
        )
        if best is not None:
            images = pl.concat([best.select(images.columns), images])
        has_more |= images.height > MAX_RANKED
        short = shortlist(images, SHORTLISTED * MAX_RANKED, seed=seed)
        best = rank(short, known_hashes=known, seed=seed).head(MAX_RANKED)
    assert best is not None  # noqa: S101 - there is at least one part
    return best, has_more


def candidates(lake: Lake, judged: Judged, part: Part) -> pl.DataFrame:
    """Return images of a part with what ranks and describes them.

    Args:
        lake: Lake of the images.
        judged: Scores and decisions to follow.
        part: Part of the images.

    Returns:
        Columns image_id, phash, domain, source_uri, logit, prob_fake, decision, reasons, run_id,
        source_label, is_made, review_at, flag_at.

    Raises:
        StoreError: The lake cannot be read.
    """
    key = judged.key or _UNKNOWN_PRECISION
    seen = latest_sightings(lake, part=part).select("image_id", "domain", "source_uri")
    scores = latest_scores(lake, key, part=part).select("image_id", "logit", "prob_fake")
    decisions = latest_decisions(lake, key, policy_id=judged.policy_id or "", part=part).select(
        "image_id", "decision", "reasons", "run_id"
    )
    labels = best_labels(
        pl.LazyFrame(schema=pl.Schema(TABLES["reviews"])),
        part.rows(lake, "synthetics"),
        part.rows(lake, "sightings"),
    )
    frame = part.rows(lake, "images").select("image_id", "phash").unique("image_id", keep="any")
    for more in (seen, scores, decisions, labels):
        frame = frame.join(more, on="image_id", how="left")
    is_of = {name: pl.col("label_evidence") == name for name in ("source", "synthetic")}
    facts = frame.with_columns(
        source_label=pl.when(is_of["source"]).then("label"),
        is_made=is_of["synthetic"].fill_null(value=False),
        detector=pl.lit(key.detector),
    ).drop("label", "label_evidence", "label_note")
    return _with_edges(facts.collect(), judged.policy).sort("image_id")


def _with_edges(facts: pl.DataFrame, policy: Policy | None) -> pl.DataFrame:
    if policy is None:
        nothing = pl.lit(None, pl.Float32)
        return facts.with_columns(review_at=nothing, flag_at=nothing).drop("detector")
    return with_thresholds(facts, policy).drop("detector", "is_listed")
