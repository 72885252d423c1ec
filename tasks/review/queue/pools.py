"""The images that the queue chooses from: appealed, ranked, drawn, and answered ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ....data.score_key import ScoreKey
from ....data.store.lake import Lake
from ....data.vocabulary import ReviewKind
from ...latest_rows import Named
from ..answers import standing_answers
from ..appeals import open_appeals
from .candidates import Judged, answered_images, best_candidates, candidates, known_hashes
from .draws import MAX_DRAWN, Draw, Drawing, golden_draw
from .ranking import rank

# Images with answers that are ranked for a second opinion, the latest ones.
MAX_SECOND: Final = 20_000
# Opinions per image that are enough; one more if they disagree.
OPINIONS: Final = 2

TABLES_READ: Final = (
    *("images", "sightings", "scores", "decisions", "synthetics"),
    *("golden", "appeals", "audits"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """An image in a pool.

    Attributes:
        image_id: Id of the image.
        kind: Occasion of its answer, a word of `ReviewKind`.
        facts: Facts of the image by name, as `candidates` returns them.
        barred: Names of reviewers who are not given the image.
        takes_one: Whether one answer of any reviewer is enough.
    """

    image_id: str
    kind: str
    facts: Mapping[str, Any]
    barred: Collection[str] = ()
    takes_one: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """Images of one state of the lake that nobody has answered, and the draws among all images.

    Attributes:
        judged: Scores and decisions that were followed.
        versions: Versions of the tables that were read.
        queue: Images in the order of the queue.
        has_more: Whether the queue was cut.
        draws: Draws, and the images of each.
    """

    judged: Judged
    versions: Mapping[str, int | None]
    queue: Sequence[Place]
    has_more: bool
    draws: Sequence[tuple[Draw, Sequence[Place]]]


def read_pools(
    lake: Lake,
    *,
    key: ScoreKey | None,
    policy_id: str | None,
    seed: int,
    golden_share: float,
    drawings: Sequence[Drawing],
) -> Pools:
    """Read and rank the images of a lake.

    Args:
        lake: Lake of the images.
        key: Key of the scores; None for that of the last run that decided.
        policy_id: Id of the policy; None for that of the run.
        seed: Seed of the order among equals.
        golden_share: Share of golden items, in [0, 1].
        drawings: Functions that return further draws.

    Raises:
        StoreError: The lake cannot be read.
    """
    versions = versions_of(lake)
    judged = Judged.of(lake, key, policy_id)
    answered = answered_images(standing_answers(lake))
    draws = [golden_draw(lake, golden_share), *(d for drawing in drawings for d in drawing(lake))]
    drawn = pl.Series("image_id", [i for draw in draws for i in draw.image_ids], dtype=pl.String)
    appealed = _appealed(lake, judged)
    best, has_more = best_candidates(
        lake,
        judged,
        without=pl.concat([answered["image_id"], drawn, _ids(appealed)]),
        known=known_hashes(lake, answered),
        seed=seed,
    )
    return Pools(
        judged=judged,
        versions=versions,
        queue=[
            *appealed,
            *(Place(row["image_id"], ReviewKind.QUEUE.value, row) for row in best.to_dicts()),
        ],
        has_more=has_more,
        draws=[(draw, _drawn(lake, judged, draw, answered)) for draw in draws],
    )


def versions_of(lake: Lake) -> dict[str, int | None]:
    """Return the versions of the tables that the order of the queue follows from."""
    return {table: lake.version(table) for table in TABLES_READ}


def second_opinions(lake: Lake, judged: Judged, *, seed: int) -> list[Place]:
    """Return answered images for another reviewer: disputed and unsure ones first.

    Then come answers against the decision, then all others, each by the rules of `rank`.

    Args:
        lake: Lake of the images.
        judged: Scores and decisions to follow.
        seed: Seed of the order among equals.

    Raises:
        StoreError: The lake cannot be read.
    """
    n_opinions = pl.col("reviewers").list.len()
    is_disputed = pl.col("labels").list.len() > 1
    open_ones = (
        answered_images(standing_answers(lake))
        .filter((n_opinions < OPINIONS) | (is_disputed & (n_opinions <= OPINIONS)))
        .top_k(MAX_SECOND, by="answered_at")
    )
    facts = candidates(lake, judged, Named(ids=tuple(open_ones["image_id"])))
    is_fake = ~pl.col("labels").list.contains("real")
    is_against = (is_fake & (pl.col("decision") == "clear")) | (
        ~is_fake & (pl.col("decision") == "flag")
    )
    tier = (
        pl.when(is_disputed | pl.col("labels").list.contains("unsure"))
        .then(1)
        .when(is_against)
        .then(2)
        .otherwise(3)
        .cast(pl.Int8)
    )
    ranked = rank(facts.join(open_ones, on="image_id").with_columns(tier=tier), seed=seed)
    return [
        Place(row["image_id"], ReviewKind.SECOND.value, row, barred=row["reviewers"])
        for row in ranked.to_dicts()
    ]


def facts_of(lake: Lake, judged: Judged, image_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the facts of some images, as `candidates` returns them.

    Raises:
        StoreError: The lake cannot be read.
    """
    rows = candidates(lake, judged, Named(ids=tuple(image_ids)))
    return {row["image_id"]: row for row in rows.to_dicts()}


def _appealed(lake: Lake, judged: Judged) -> list[Place]:
    """Return the images whose appeals wait for a reviewer, the oldest appeal first."""
    waiting = open_appeals(lake)
    facts = facts_of(lake, judged, waiting["image_id"].to_list())
    return [
        Place(image_id, ReviewKind.APPEAL.value, facts[image_id], barred=barred)
        for image_id, barred in waiting.select("image_id", "barred").iter_rows()
        if image_id in facts
    ]


def _ids(places: Sequence[Place]) -> pl.Series:
    return pl.Series("image_id", [place.image_id for place in places], dtype=pl.String)


def _drawn(lake: Lake, judged: Judged, draw: Draw, answered: pl.DataFrame) -> list[Place]:
    """Return the images of a draw, in its order; those that nobody is to answer are left out."""
    image_ids = list(dict.fromkeys(draw.image_ids))[:MAX_DRAWN]
    if not image_ids or not draw.share:
        return []
    facts = facts_of(lake, judged, image_ids)
    mine = answered.filter(pl.col("image_id").is_in(image_ids))
    barred = dict(mine.select("image_id", "reviewers").iter_rows())
    return [
        Place(
            image_id,
            draw.kind,
            facts[image_id],
            barred=barred.get(image_id, ()),
            takes_one=not draw.is_for_each,
        )
        for image_id in image_ids
        if image_id in facts and (draw.is_for_each or image_id not in barred)
    ]
