"""The steps of a moderation run as plain functions that take references and return counts.

Each takes the lake, a request, a run id and the names of its items, and returns a small count, so
that it runs in this process, in a Prefect task and on another machine alike. No pixels pass between
steps; a lake is passed by its address.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import polars as pl

from ..data.sources.items import Item
from ..data.store import damage
from ..data.store.lake import Lake
from ..data.vocabulary import Status
from ..tasks.decide.decide_images import decide_images
from ..tasks.decide.measures_pending import reads_all_measures
from ..tasks.delivery.deliver import DeliveryCounts, deliver_shard
from ..tasks.drift.of_run import RunDrift, drift_of_run
from ..tasks.ingest import ingest_chunk
from ..tasks.ingest_counts import IngestCounts
from ..tasks.inline_scorer import InlineScorer
from ..tasks.latest_rows import rows_of_batch
from ..tasks.measures.inline_measurer import InlineMeasurer
from ..tasks.measures.measures import measure_images
from ..tasks.report.write import write_report
from ..tasks.score import ScoreCounts, score_shard
from ..tasks.views import ViewCounts, view_shard
from . import progress
from .engines.placing import placed
from .judging import detector_of, identity_of, policy_of
from .request import Request
from .taking_turns import turn

P = ParamSpec("P")
R = TypeVar("R")


def _naming_damage(step: Callable[Concatenate[Lake, P], R]) -> Callable[Concatenate[Lake, P], R]:
    """Return a step whose errors name the damaged file of its lake."""

    @functools.wraps(step)
    def call(lake: Lake, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with damage.named(lake.uri):
            return step(lake, *args, **kwargs)

    return call


@placed(uses_network=False)
@_naming_damage
def ingest_step(
    lake: Lake,
    request: Request,
    run_id: str,
    batch_id: str,
    chunk_index: int,
    items: Sequence[Item],
) -> IngestCounts:
    """Read, check and store one chunk of items, with one sighting per item."""
    return _ingest(lake, request, run_id, batch_id, chunk_index, items)


@placed()
@_naming_damage
def ingest_and_score_step(
    lake: Lake,
    request: Request,
    run_id: str,
    batch_id: str,
    chunk_index: int,
    items: Sequence[Item],
) -> tuple[IngestCounts, ScoreCounts]:
    """Ingest one chunk of items and score each new image while it is decoded.

    Its pixels are measured too, if the decisions depend on measures.
    """
    identity = identity_of(request)
    scorer = InlineScorer(lake, lambda: detector_of(request), identity.key, run_id=run_id)
    is_measured = reads_all_measures(lake, policy_of(request, identity))
    measurer = InlineMeasurer(lake) if is_measured else None
    counts = _ingest(lake, request, run_id, batch_id, chunk_index, items, scorer, measurer)
    return counts, scorer.counts


def _ingest(
    lake: Lake,
    request: Request,
    run_id: str,
    batch_id: str,
    chunk_index: int,
    items: Sequence[Item],
    scorer: InlineScorer | None = None,
    measurer: InlineMeasurer | None = None,
) -> IngestCounts:
    with turn(lake.uri, batch_id, str(chunk_index)):
        return ingest_chunk(
            lake,
            items,
            batch_id=batch_id,
            run_id=run_id,
            chunk_index=chunk_index,
            options=request.source_options,
            n_workers=request.workers,
            on_item=progress.current().advance,
            scorer=scorer,
            measurer=measurer,
        )


@placed()
@_naming_damage
def score_step(
    lake: Lake, request: Request, run_id: str, shard: str, image_ids: Sequence[str]
) -> ScoreCounts:
    """Score these images of one shard, and commit their logits and embeddings."""
    return _on_shard("scores", score_shard, lake, request, run_id, shard, image_ids)


@placed()
@_naming_damage
def views_step(
    lake: Lake, request: Request, run_id: str, shard: str, image_ids: Sequence[str]
) -> ViewCounts:
    """Score the tiles of these images of one shard."""
    return _on_shard("views", view_shard, lake, request, run_id, shard, image_ids)


@placed()
@_naming_damage
def deliver_step(
    lake: Lake, request: Request, run_id: str, shard: str, image_ids: Sequence[str]
) -> DeliveryCounts:
    """Score the next deliveries of these images of one shard."""
    return _on_shard("deliveries", deliver_shard, lake, request, run_id, shard, image_ids)


@placed(uses_network=False)
@_naming_damage
def measure_step(
    lake: Lake, request: Request, run_id: str, shard: str, image_ids: Sequence[str]
) -> int:
    """Measure the pixels of these images of one shard; return the number of new rows."""
    with turn(lake.uri, "measures", shard, image_ids[0]):
        return measure_images(
            lake,
            image_ids,
            n_workers=request.workers,
            limits=request.limits,
            on_item=progress.current().advance,
        )


def _on_shard(
    table: str,
    work: Callable[..., R],
    lake: Lake,
    request: Request,
    run_id: str,
    shard: str,
    image_ids: Sequence[str],
) -> R:
    detector = detector_of(request)
    with turn(lake.uri, table, shard, image_ids[0], detector.key.digest()):
        return work(
            lake,
            shard,
            image_ids,
            detector,
            run_id=run_id,
            n_workers=request.workers,
            limits=request.limits,
            on_item=progress.current().advance,
        )


@placed()
def backend_step(_lake: Lake, request: Request) -> tuple[str, str]:
    """Return the backend that scores, and the reason for its choice."""
    detector = detector_of(request)
    return detector.backend, detector.why


@_naming_damage
def decide_step(lake: Lake, request: Request, run_id: str, batch_id: str | None) -> dict[str, int]:
    """Decide all images of the batch or of the lake under the request's policy."""
    detector = identity_of(request)
    return decide_images(
        lake,
        image_ids=images_of(lake, batch_id),
        key=detector.key,
        policy=policy_of(request, detector),
        run_id=run_id,
    )


@_naming_damage
def drift_step(
    lake: Lake, request: Request, run_id: str, batch_id: str | None, limit: float
) -> RunDrift | None:
    """Compare the images that the run scored with earlier ones of the same sources."""
    key = identity_of(request).key
    return drift_of_run(lake, key, run_id=run_id, batch_id=batch_id, limit=limit)


@_naming_damage
def report_step(lake: Lake, run_id: str) -> str:
    """Write the run's report and return its path."""
    return write_report(lake, run_id=run_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Ways to call the steps."""

    ingest: Callable[[Lake, Request, str, str, int, Sequence[Item]], IngestCounts] = ingest_step
    ingest_and_score: Callable[
        [Lake, Request, str, str, int, Sequence[Item]], tuple[IngestCounts, ScoreCounts]
    ] = ingest_and_score_step
    score: Callable[[Lake, Request, str, str, Sequence[str]], ScoreCounts] = score_step
    views: Callable[[Lake, Request, str, str, Sequence[str]], ViewCounts] = views_step
    deliver: Callable[[Lake, Request, str, str, Sequence[str]], DeliveryCounts] = deliver_step
    measure: Callable[[Lake, Request, str, str, Sequence[str]], int] = measure_step
    decide: Callable[[Lake, Request, str, str | None], dict[str, int]] = decide_step
    drift: Callable[[Lake, Request, str, str | None, float], RunDrift | None] = drift_step
    report: Callable[[Lake, str], str] = report_step


def images_of(lake: Lake, batch_id: str | None) -> pl.Series | None:
    """Return the ids of a batch's stored images; None for the whole lake."""
    if batch_id is None:
        return None
    seen = (
        rows_of_batch(lake, batch_id)
        .filter(pl.col("status") != Status.REJECTED.value)
        .select("image_id")
        .collect()["image_id"]
    )
    stored = lake.rows_of("images", seen).select(pl.col("image_id").unique())
    return stored.collect()["image_id"]
