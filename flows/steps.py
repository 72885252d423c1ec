"""The steps of a moderation run as plain functions that take and give references.

Each takes a request, a run id and the names of what it works on, opens the lake itself and
returns a small count, so that it runs alike in this process, in a Prefect task and on another
machine. No pixels pass between steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import polars as pl

from ..data.cache import cache_folder
from ..data.errors import ModelError
from ..data.schema import Status
from ..data.sources.find import Item
from ..data.store import damage
from ..data.store.lake import Lake
from ..data.store.open_store import open_store
from ..data.user_paths import from_home
from ..tasks.decide.decide import decide_images
from ..tasks.decide.policy import Policy
from ..tasks.decide.policy_file import load_policy
from ..tasks.detector.identity import Identity
from ..tasks.detector.load import identify, load_detector
from ..tasks.detector.selection.measurements import drift_allowance
from ..tasks.detector.weights.hub import CONFIG, SETTINGS, WEIGHTS
from ..tasks.detector.weights.int8_store import FACTS
from ..tasks.ingest import ingest_chunk
from ..tasks.ingest_counts import IngestCounts
from ..tasks.inline_scorer import InlineScorer
from ..tasks.report.write import write_report
from ..tasks.score import ScoreCounts, score_shard
from ..tasks.views import ViewCounts, view_shard
from . import progress
from .request import Request
from .taking_turns import turn

if TYPE_CHECKING:
    from ..tasks.detector.detector import Detector

P = ParamSpec("P")
R = TypeVar("R")


def _naming_damage(
    step: Callable[Concatenate[Request, P], R],
) -> Callable[Concatenate[Request, P], R]:
    """Let a step fail by naming the damaged file of its lake, whatever its libraries raise."""

    @functools.wraps(step)
    def call(request: Request, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with damage.named(open_store(request.lake).uri):
            return step(request, *args, **kwargs)

    return call


@functools.lru_cache(maxsize=4)
def _loaded(name: str, _stamp: object, **settings: Any) -> Detector:
    return load_detector(name, **settings)


@functools.lru_cache(maxsize=4)
def _identified(name: str, _stamp: object, **settings: Any) -> Identity:
    return identify(name, **settings)


def _stamp(request: Request) -> object:
    """Changes when a folder's files or this machine's quantised weights do."""
    folder = from_home(request.detector)
    files = [folder / name for name in (WEIGHTS, CONFIG, SETTINGS)]
    if request.precision == "int8":
        files += sorted(cache_folder("int8").glob(f"*/{FACTS}"))
    found = ((file, file.stat()) for file in files if file.exists())
    return tuple((file, of.st_size, of.st_mtime_ns, of.st_ctime_ns) for file, of in found)


def detector_of(request: Request) -> Detector:
    """The request's detector, loaded once a process.

    Raises:
        ModelError: The weights cannot be had, or are not what they should be.
    """
    return _loaded(
        request.detector,
        _stamp(request),
        profile=request.profile,
        device=request.device,
        precision=request.precision,
        backend=request.backend,
        positive=request.positive,
        force_drift=request.force_drift,
    )


def identity_of(request: Request) -> Identity:
    """What the request's scores are known by; checks the weights without loading them.

    Raises:
        ModelError: The weights cannot be had, or are not what they should be.
    """
    return _identified(
        request.detector,
        _stamp(request),
        profile=request.profile,
        precision=request.precision,
        positive=request.positive,
    )


@_naming_damage
def ingest_step(
    request: Request, run_id: str, batch_id: str, chunk_index: int, items: Sequence[Item]
) -> IngestCounts:
    """Reads, checks and stores one chunk of items; every item gets its sighting."""
    return _ingest(Lake(request.lake), request, run_id, batch_id, chunk_index, items)


@_naming_damage
def ingest_and_score_step(
    request: Request, run_id: str, batch_id: str, chunk_index: int, items: Sequence[Item]
) -> tuple[IngestCounts, ScoreCounts]:
    """Ingests one chunk of items and scores each new picture while it is decoded."""
    lake = Lake(request.lake)
    key = identity_of(request).key
    scorer = InlineScorer(lake, lambda: detector_of(request), key, run_id=run_id)
    counts = _ingest(lake, request, run_id, batch_id, chunk_index, items, scorer=scorer)
    return counts, scorer.counts


def _ingest(
    lake: Lake,
    request: Request,
    run_id: str,
    batch_id: str,
    chunk_index: int,
    items: Sequence[Item],
    *,
    scorer: InlineScorer | None = None,
) -> IngestCounts:
    with turn(lake.uri, batch_id):
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
        )


@_naming_damage
def score_step(request: Request, run_id: str, shard: str, image_ids: Sequence[str]) -> ScoreCounts:
    """Scores these images of one shard and commits their logits and embeddings."""
    return _on_shard("scores", score_shard, request, run_id, shard, image_ids)


@_naming_damage
def views_step(request: Request, run_id: str, shard: str, image_ids: Sequence[str]) -> ViewCounts:
    """Scores the tiles of these images of one shard."""
    return _on_shard("views", view_shard, request, run_id, shard, image_ids)


def _on_shard(
    table: str,
    work: Callable[..., R],
    request: Request,
    run_id: str,
    shard: str,
    image_ids: Sequence[str],
) -> R:
    lake, detector = Lake(request.lake, create=False), detector_of(request)
    with turn(lake.uri, table, shard, detector.key.digest()):
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


@_naming_damage
def decide_step(request: Request, run_id: str, batch_id: str | None) -> dict[str, int]:
    """Judges every image of the batch, or of the lake, under the request's policy."""
    lake = Lake(request.lake, create=False)
    detector = identity_of(request)
    return decide_images(
        lake,
        image_ids=images_of(lake, batch_id),
        key=detector.key,
        policy=policy_of(request, detector),
        run_id=run_id,
    )


def policy_of(request: Request, detector: Identity) -> Policy:
    """The request's policy, its review bands widened by what the precision may move a score."""
    policy = load_policy(request.policy_path)
    drift_logit = drift_allowance(detector.weights_sha256, detector.precision)
    if drift_logit is None:
        # Another machine scored: loading measures it here too.
        detector_of(request)
        drift_logit = drift_allowance(detector.weights_sha256, detector.precision)
    if drift_logit is None:
        raise ModelError(
            f"how far {detector.precision} moves the scores of {detector.detector_id} cannot be"
            f" kept in {cache_folder()}, so decisions cannot allow for it; make that folder"
            " writable (ASSAY_CACHE names another), or use --precision fp32"
        )
    return policy.widened(drift_logit)


@_naming_damage
def report_step(request: Request, run_id: str) -> str:
    """Draws the run's report and gives its path."""
    return write_report(Lake(request.lake, create=False), run_id=run_id)


def images_of(lake: Lake, batch_id: str | None) -> pl.Series | None:
    """Ids of the images that a batch's items led to and the lake has; None for the whole lake."""
    if batch_id is None:
        return None
    return (
        lake.scan("sightings")
        .filter((pl.col("batch_id") == batch_id) & (pl.col("status") != Status.REJECTED.value))
        .select(pl.col("image_id").unique())
        .join(lake.scan("images").select("image_id"), on="image_id", how="semi")
        .collect()
        .get_column("image_id")
    )
