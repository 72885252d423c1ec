"""Scores: one row per image and score key (detector, weights, profile, precision).

A task scores the images of one shard. Images with a row are not scored again. An image
that cannot be scored gets a row with a reason and without a score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
from scipy.special import expit

from ..data.images.inspect_image import DEFAULT_LIMITS, ImageLimits
from ..data.schema import Row
from ..data.score_key import ScoreKey
from ..data.store.lake import Lake
from ..data.vocabulary import Reason, ScoreStatus
from ..version import __version__
from .append_missing import append_missing
from .detector.streaming import Scored, score_stream
from .latest_rows import WHOLE, Named, Part
from .work.commit_portions import commit_portions

if TYPE_CHECKING:
    from .detector.detector import Detector


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCounts:
    """Counts of images by outcome.

    Attributes:
        scored: Images scored in this run.
        failed: Images that could not be scored in this run.
        known: Images already scored.
    """

    scored: int = 0
    failed: int = 0
    known: int = 0

    def __add__(self, other: ScoreCounts) -> ScoreCounts:
        return ScoreCounts(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


def pending(lake: Lake, key: ScoreKey, *, image_ids: pl.Series | None = None) -> pl.DataFrame:
    """Return the images without a row under a score key, in the order of the stored bytes.

    An image that failed for lack of memory is pending again; every other failure is final.

    Args:
        lake: Lake of the images.
        key: Key of the scores; device and backend are no part of it.
        image_ids: Ids to choose from; None for all images of the lake.

    Returns:
        Columns image_id, shard, row_group, row.

    Raises:
        StoreError: The lake cannot be read.
    """
    part = WHOLE if image_ids is None else Named(ids=tuple(image_ids))
    return (
        part.rows(lake, "images")
        .select("image_id", "shard", "row_group", "row")
        .join(judged(lake, key, part), on="image_id", how="anti")
        .unique("image_id", keep="any")
        .sort("shard", "row_group", "row")
        .collect()
    )


def judged(lake: Lake, key: ScoreKey, part: Part = WHOLE) -> pl.LazyFrame:
    """Return the image_id of each image that is not `pending`, once per row of the image."""
    return part.rows(lake, "scores").filter(_judges(key)).select("image_id")


def _judges(key: ScoreKey) -> pl.Expr:
    return key.where() & pl.col("reason").ne_missing(Reason.OUT_OF_MEMORY.value)


def score_shard(
    lake: Lake,
    shard: str,
    image_ids: Sequence[str],
    detector: Detector,
    *,
    run_id: str,
    n_workers: int | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    on_item: Callable[[int], None] | None = None,
) -> ScoreCounts:
    """Score the images of a shard that have no score yet, and commit their rows.

    Memory holds one row group of encoded bytes and a few decoded images per worker.

    Args:
        lake: Lake of the images.
        shard: Name of the shard, part of the transactions' names.
        image_ids: Ids of images in that shard.
        detector: Detector that scores.
        run_id: Id of the run, written to the rows.
        n_workers: Number of threads; default: one per core. Scores do not depend on it.
        limits: Limits on decoding. Limits stricter than at ingest make stored images fail.
        on_item: Callback with the number of images finished since its last call.

    Raises:
        StoreError: Bytes cannot be read, or rows cannot be written; committed rows stay.
        BaseException: Any other error, after a commit of the finished rows; see `kept_of`.
    """
    wanted = pl.Series("image_id", list(image_ids), dtype=pl.String)
    since = lake.version("scores")
    left = pending(lake, detector.key, image_ids=wanted)["image_id"].to_list()
    counts = ScoreCounts(known=wanted.n_unique() - len(left))
    if on_item is not None and counts.known:
        on_item(counts.known)
    if not left:
        return counts

    def commit(rows: Sequence[Row]) -> ScoreCounts:
        committed = commit_rows(lake, rows, detector.key, run_id, since=since)
        return counts_of(committed) + ScoreCounts(known=len(rows) - len(committed))

    stream = score_stream(detector, lake.images(left), n_workers=n_workers, limits=limits)
    parts = (([row_of(scored, detector, run_id) for scored in done], len(done)) for done in stream)
    return commit_portions(parts, commit, counts, on_item=on_item)


def row_of(scored: Scored, detector: Detector, run_id: str) -> Row:
    """Return the row of `scores` of an image, with its score or the reason for having none."""
    logit, reason = scored.logit, scored.reason
    status = ScoreStatus.SCORED if reason is None else ScoreStatus.FAILED
    return {
        "image_id": scored.image_id,
        **detector.key.as_row(),
        "backend": detector.backend,
        "status": status.value,
        "reason": None if reason is None else reason.value,
        "logit": logit,
        "prob_fake": None if logit is None else float(expit(logit)),
        "embedding": scored.embedding,
        "run_id": run_id,
        "code_version": __version__,
        "scored_at": datetime.now(UTC),
    }


def counts_of(rows: Sequence[Row]) -> ScoreCounts:
    """Return the numbers of rows with a score and of rows with a reason."""
    n_failed = sum(row["reason"] is not None for row in rows)
    return ScoreCounts(scored=len(rows) - n_failed, failed=n_failed)


def commit_rows(
    lake: Lake, rows: Sequence[Row], key: ScoreKey, run_id: str, *, since: int | None
) -> list[Row]:
    """Append those rows whose images no other run has scored under the key meanwhile.

    Args:
        lake: Lake of the scores.
        rows: Rows of `row_of`, all of one key.
        key: Key of the rows.
        run_id: Id of the run, part of the transaction's name.
        since: Version of `scores` at which the images were pending.

    Returns:
        The rows that were committed.

    Raises:
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written.
    """
    ids = [row["image_id"] for row in rows]
    return append_missing(
        lake,
        "scores",
        rows,
        since=since,
        name=lambda row: str(row["image_id"]),
        taken=lambda rows_since: set(
            rows_since.filter(_judges(key) & pl.col("image_id").is_in(ids))
            .select("image_id")
            .collect()["image_id"]
        ),
        txn=f"scores:{run_id}:{key.digest()}",
    )
