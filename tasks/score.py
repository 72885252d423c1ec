"""Scores: one row for each image under one detector, profile and precision.

A task is the images of one shard. Rows are committed every thousand images or every minute,
so a kill loses a minute at most, and images that have a row are never scored again. An
image that cannot be scored gets a row with its reason, never a made-up number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import polars as pl
from scipy.special import expit

from ..data.errors import StoreError
from ..data.images.inspect_image import DEFAULT_LIMITS, ImageLimits
from ..data.schema import Reason, Row, ScoreStatus
from ..data.score_key import ScoreKey
from ..data.store.lake import Lake
from ..version import __version__
from .append_missing import append_missing
from .detector.streaming import Scored, score_stream
from .work.stopping import hand_on

if TYPE_CHECKING:
    from .detector.detector import Detector

ROWS_A_COMMIT: Final = 1000
COMMIT_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCounts:
    """What became of images: scored now, failed now, or known before."""

    scored: int = 0
    failed: int = 0
    known: int = 0

    def __add__(self, other: ScoreCounts) -> ScoreCounts:
        return ScoreCounts(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


def pending(lake: Lake, key: ScoreKey, *, image_ids: pl.Series | None = None) -> pl.DataFrame:
    """Return the images that have no row under a score key, in stored order.

    An image that failed for lack of memory is judged again; any other failure stands.

    Args:
        lake: Lake to look in.
        key: Key of the scores; device and backend do not count.
        image_ids: Ids to choose from; None for all of the lake.

    Returns:
        Columns image_id, shard, row_group, row.
    """
    images = lake.scan("images").select("image_id", "shard", "row_group", "row")
    if image_ids is not None:
        wanted = pl.LazyFrame({"image_id": image_ids}, schema={"image_id": pl.String})
        images = images.join(wanted.unique(), on="image_id", how="semi")
    return (
        images.join(judged(lake, key), on="image_id", how="anti")
        .unique("image_id", keep="any")
        .sort("shard", "row_group", "row")
        .collect()
    )


def judged(lake: Lake, key: ScoreKey) -> pl.LazyFrame:
    """Return the image_id of each image that is not `pending`, repeated if it was judged twice."""
    return lake.scan("scores").filter(_judges(key)).select("image_id")


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
    """Score those of these images that have no score yet, and commit their rows.

    Memory: one row group of encoded bytes, and a few decoded images per worker.

    Args:
        lake: Lake with the bytes, where the rows go.
        shard: Shard that the images lie in; part of the transactions' names.
        image_ids: Ids of images of that shard.
        detector: Detector to score with.
        run_id: Id of the run, written to the rows.
        n_workers: Threads; default: one per core. Scores do not depend on it.
        limits: Limits on what decoding may cost; not stricter than at ingest, or stored images
            fail.
        on_item: Function that is called with the number of images done since the last call.

    Raises:
        StoreError: Bytes cannot be read or rows not written; what was committed stays.
    """
    wanted = pl.Series("image_id", list(image_ids), dtype=pl.String)
    since = lake.version("scores")
    left = pending(lake, detector.key, image_ids=wanted)["image_id"].to_list()
    counts = ScoreCounts(known=wanted.n_unique() - len(left))
    if on_item is not None and counts.known:
        on_item(counts.known)
    rows: list[Row] = []
    last_commit_s = time.monotonic()
    if not left:
        return counts

    def commit() -> None:
        nonlocal rows, counts, last_commit_s
        if rows:
            committed = commit_rows(lake, rows, detector.key, run_id, since=since)
            counts += counts_of(committed) + ScoreCounts(known=len(rows) - len(committed))
        rows, last_commit_s = [], time.monotonic()

    try:
        for done in score_stream(detector, lake.images(left), n_workers=n_workers, limits=limits):
            rows += [row_of(scored, detector, run_id) for scored in done]
            if len(rows) >= ROWS_A_COMMIT or time.monotonic() - last_commit_s > COMMIT_EVERY_S:
                commit()
            if on_item is not None:
                on_item(len(done))
        commit()
    except BaseException as error:
        if not isinstance(error, StoreError):
            commit()
        hand_on(error, counts)
        raise
    return counts


def row_of(scored: Scored, detector: Detector, run_id: str) -> Row:
    """Return the row of `scores` that says what became of an image."""
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
    """Return how many rows hold a score, and how many a reason."""
    n_failed = sum(row["reason"] is not None for row in rows)
    return ScoreCounts(scored=len(rows) - n_failed, failed=n_failed)


def commit_rows(
    lake: Lake, rows: Sequence[Row], key: ScoreKey, run_id: str, *, since: int | None
) -> list[Row]:
    """Append those rows of `row_of` whose images no other run has scored under the key.

    Args:
        lake: Lake where the rows go.
        rows: Rows of one key.
        key: Key of the rows.
        run_id: Id of the run, part of the transaction's name.
        since: Version of `scores` at which the images were pending.

    Returns:
        The rows that were committed.
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
