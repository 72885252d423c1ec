"""A run from sources to a report, in the order of its steps.

The way to call a step is a parameter: directly by default, as a Prefect task in `flows.moderate`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import closing

import polars as pl

from ..data.errors import ConfigError, StoreError
from ..data.sources.find import find_items
from ..data.store.damage import explain
from ..data.store.lake import Lake
from ..tasks.batches import batch_id_of, chunks
from ..tasks.decide.deliveries_pending import deliveries_pending
from ..tasks.decide.measures_pending import measures_pending, needs_measures
from ..tasks.decide.recorded_policy import earlier_packaged
from ..tasks.detector.identity import Identity
from ..tasks.drift.measures import MIN_IMAGES
from ..tasks.drift.of_run import RunDrift
from ..tasks.lake.compact import compact_crowded
from ..tasks.lake.fit import require_fit, require_tables
from ..tasks.lake.keep_up import keep_up
from ..tasks.lake.known_images import require_images_known
from ..tasks.score import ScoreCounts, pending
from ..tasks.views import views_pending
from ..tasks.work.lookahead import ListedAhead
from ..tasks.work.stopping import is_stop, standing_of
from . import progress
from .dead_runs import close_dead_runs
from .engines.placing import ahead
from .engines.protocol import Placement
from .judging import check_judging, policy_of
from .process.malloc import limit_arenas
from .request import Request
from .results.moderation import Moderation
from .run_state import BatchSource, RunState, Stage, Tell
from .steps import (
    Steps,
    deliver_step,
    images_of,
    ingest_and_score_step,
    ingest_step,
    measure_step,
    score_step,
    views_step,
)

_log = logging.getLogger(__name__)

# Large enough to make the cost of a commit negligible, small enough to bound the work that a kill
# repeats.
IMAGES_PER_TASK = 1000

# Of a large batch, so that lookups of its later chunks do not go through hundreds of files.
CHUNKS_PER_COMPACTION = 50

# The first delivery of each image, and the others.
DELIVERY_ROUNDS = 2

# Listed before the first is read, so that progress has a total for most runs; about 10 MB.
ITEMS_AHEAD = 20_000


def run(
    request: Request,
    *,
    calls: Steps | None = None,
    flow: str = "moderate",
    source: BatchSource | None = None,
    lake: Lake | None = None,
    tell: Tell | None = None,
) -> Moderation:
    """Ingest the sources if any, score, decide and report.

    Without sources, all images of the lake are scored. Known items are not read again and known
    images not scored again, so a repeated run resumes an interrupted one.

    Args:
        request: Settings of the run.
        calls: Ways to call the steps [default: directly].
        flow: Name of the run in the `runs` table: `moderate`, `ingest`, `score` or `augment`.
        source: Source of the images instead of the request's sources.
        lake: Lake of the request, if it is open already.
        tell: Receiver of the run's stages, which sends the notifications.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
        ConfigError: The request names a notification block, and nothing sends notifications.
        TooManyRejected: The run is complete, and the share of rejected items exceeds the limit.
    """
    limit_arenas()
    Placement.of(request)  # an error before anything is read
    if tell is None and request.notify is not None:
        raise ConfigError(
            f"notify is {request.notify!r}, a block of a Prefect server, and this run has no"
            " server; set PREFECT_API_URL and leave --no-server out, or leave notify out"
        )
    tell = tell or _tell_nobody
    calls = calls or Steps()
    detector = check_judging(request) if flow != "ingest" else None
    lake = lake or _opened(request)
    require_tables(lake)  # before the run is recorded in one of them
    state = RunState(
        request=request,
        lake=lake,
        flow=flow,
        batch_id=_batch_id(request, source),
        detector=detector,
        source=source,
    )
    part = "all images" if state.batch_id is None else f"batch {state.batch_id}"
    _log.info("run %s: %s in lake %s, %s", state.run_id, flow, lake.uri, part)
    for uri in state.shown_sources():
        _log.info("source %s", uri)
    if detector is not None:
        _log.info("detector %s", detector.key.describe())
    try:
        if detector is not None and request.policy_path is None:
            _tell_of_policy(lake)
        # Within the block, so that an interrupt right after the row is recorded too.
        state.record("running")
        close_dead_runs(lake, by=state.run_id)
        require_fit(lake, state.batch_id)
        if state.batch_id is None:
            require_images_known(lake)
        _ingest(state, calls)
        if state.batch_id is not None:
            tell("ingested", state.answer())
        if detector is not None:
            _score(state, calls, detector)
            _score_tiles(state, calls, detector)
            _measure(state, calls, detector)
            _deliver(state, calls, detector)
            with state.keeping(lambda: "all scores are kept; the same command decides and reports"):
                state.decisions = calls.decide(lake, request, state.run_id, state.batch_id)
            if counts := ", ".join(f"{name} {n:,}" for name, n in state.decisions.items()):
                _log.info("decided: %s", counts, extra={"fields": state.decisions})
            state.drift = _drift(state, calls)
        # The report reads the run's row.
        state.record("completed")
        if detector is not None and (address := calls.report(lake, state.run_id)):
            state.report = address
            _log.info("report %s", address, extra={"fields": {"report": address}})
    except BaseException as error:
        ended: Stage = "interrupted" if is_stop(error) else "failed"
        # The table of runs may itself be damaged; the first error is the one to report.
        with contextlib.suppress(StoreError):
            state.record(ended)
        tell(ended, state.answer())
        if (explained := explain(error, lake.uri)) is not None:
            raise explained from error
        raise
    keep_up(lake)
    answer = state.answer()
    if answer.is_flagged_above(request.flagged_limit):
        _log.warning(
            "%.3g of the decided images are flagged; the limit is %g (flagged_limit)",
            answer.flagged_share,
            request.flagged_limit,
        )
    if answer.drift is not None and answer.has_drifted:
        words = "; ".join(answer.drift.lines())
        _log.warning("%s; the limit is %g (drift_limit)", words, answer.drift.limit)
    tell("completed", answer)
    _log.info("completed in %.1f s", answer.seconds, extra={"fields": answer.to_json()})
    answer.check_rejected(request.fail_on_rejected)
    return answer


def _tell_nobody(_stage: Stage, _result: Moderation) -> None:
    """Receive a stage of a run that nobody follows."""


def _tell_of_policy(lake: Lake) -> None:
    """Warn that the packaged policy is another one than that of the lake's last run."""
    if (before := earlier_packaged(lake)) is not None:
        _log.warning(
            "the packaged policy has changed since the last run of this lake, which decided by %s:"
            " copies are decided together, and enlarged images go to review. To keep the earlier"
            " rules, remove `copies` and `[pixels]` from the policy that `assay init` writes, and"
            " name it with --policy",
            before,
        )


def check(request: Request) -> None:
    """Check a request that runs later.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
    """
    Placement.of(request)
    check_judging(request)
    if request.sources:
        find_items(request.sources, request.source_options)
    Lake(request.lake, create=bool(request.sources))


def _opened(request: Request) -> Lake:
    """Open the lake of a request; create it if missing and if the sources can be read."""
    try:
        return Lake(request.lake, create=False)
    except StoreError:
        if not request.sources:
            raise
        find_items(request.sources, request.source_options)
        return Lake(request.lake)


def _batch_id(request: Request, source: BatchSource | None) -> str | None:
    """Return the batch of a run; None for the whole lake."""
    if source is not None:
        return source.batch_id
    return batch_id_of(request.sources, request.source_options) if request.sources else None


def _ingest(state: RunState, calls: Steps) -> None:
    """Ingest the images, and score them in the same pass if the run scores."""
    if state.source is not None:
        with state.keeping():
            state.items += state.source(state.lake, state.run_id)
        return
    if state.batch_id is None:
        return
    lake, request, run_id, batch_id = state.lake, state.request, state.run_id, state.batch_id
    watcher = progress.current()
    items = ListedAhead(find_items(request.sources, request.source_options), ITEMS_AHEAD)
    watcher.begin("ingest" if state.detector is None else "moderate", None)

    def standing() -> str:
        verb = "read" if state.detector is None else "done"
        return standing_of(state.items.items, items.total, "items", verb)

    parts = (
        (lake, request, run_id, batch_id, index, chunk)
        for index, chunk in enumerate(chunks(items, max_items=IMAGES_PER_TASK))
    )
    step = ingest_step if state.detector is None else ingest_and_score_step
    with state.keeping(standing), closing(ahead(step, request, parts)) as in_order:
        for part in in_order:
            index = part[4]
            if index and index % CHUNKS_PER_COMPACTION == 0:
                compact_crowded(lake)
            watcher.expect(items.total)
            if state.detector is None:
                ingested = calls.ingest(*part)
                state.add_chunk(index, ingested, None, total=items.total)
                continue
            ingested, scored = calls.ingest_and_score(*part)
            state.add_chunk(index, ingested, scored, total=items.total)
            if scored.scored or scored.failed:
                state.name_backend()
    watcher.end()


def _score(state: RunState, calls: Steps, detector: Identity) -> None:
    """Score the images of the batch that no pass has scored yet."""
    lake = state.lake
    wanted = images_of(lake, state.batch_id)
    state.example = _first(lake, wanted)
    left = pending(lake, detector.key, image_ids=wanted)
    done = state.scores.scored + state.scores.failed
    known = _n_images(lake, wanted) - len(left) - done
    state.scores += ScoreCounts(known=known)
    if known:
        _log.info("already scored: %s images", f"{known:,}", extra={"fields": {"known": known}})
    if left.is_empty():
        return
    state.name_backend()
    watcher = progress.current()
    watcher.begin("score", len(left))

    def standing() -> str:
        n_done = state.scores.scored + state.scores.failed - done
        return standing_of(n_done, len(left), "images", "scored")

    parts = ((lake, state.request, state.run_id, *part) for part in _by_shard(left))
    with state.keeping(standing), closing(ahead(score_step, state.request, parts)) as in_order:
        for part in in_order:
            *_, shard, image_ids = part
            _log.debug("scoring %d images of shard %s", len(image_ids), shard)
            scored = calls.score(*part)
            state.add_shard(shard, scored, before=done, total=len(left))
    watcher.end()


def _score_tiles(state: RunState, calls: Steps, detector: Identity) -> None:
    """Score tiles of the batch's images, if the request asks for more than the centre."""
    mode = state.request.views
    if mode == "centre":
        return
    watcher = progress.current()
    wanted = images_of(state.lake, state.batch_id)
    left = views_pending(
        state.lake, detector.key, side_px=detector.profile.crop_px, mode=mode, image_ids=wanted
    )
    watcher.begin("views", len(left))

    def standing() -> str:
        return standing_of(state.views.images, len(left), "images", "scored in tiles")

    parts = ((state.lake, state.request, state.run_id, *part) for part in _by_shard(left))
    with state.keeping(standing), closing(ahead(views_step, state.request, parts)) as in_order:
        for part in in_order:
            *_, shard, image_ids = part
            _log.debug("scoring tiles of %d images of shard %s", len(image_ids), shard)
            state.views += calls.views(*part)
    watcher.end()


def _drift(state: RunState, calls: Steps) -> RunDrift | None:
    """Compare the images of this run with earlier ones of its sources, if a limit is set."""
    limit = state.request.drift_limit
    if limit is None:
        return None
    found = None
    if state.scores.scored >= MIN_IMAGES:
        with state.keeping(lambda: "all scores and decisions are kept"):
            found = calls.drift(state.lake, state.request, state.run_id, state.batch_id, limit)
    if found is None:
        _log.info(
            "drift is not compared: %d images scored by this run and as many earlier ones of the"
            " same sources are needed",
            MIN_IMAGES,
        )
    return found


def _measure(state: RunState, calls: Steps, detector: Identity) -> None:
    """Measure the pixels of the batch's images that have no measures, if decisions need them."""
    policy = policy_of(state.request, detector)
    if not needs_measures(state.lake, policy):
        return
    wanted = images_of(state.lake, state.batch_id)
    left = measures_pending(state.lake, policy, image_ids=wanted)
    if left.is_empty():
        return
    watcher = progress.current()
    watcher.begin("measure", len(left))
    n_measured = 0

    def standing() -> str:
        return standing_of(n_measured, len(left), "images", "measured")

    parts = ((state.lake, state.request, state.run_id, *part) for part in _by_shard(left))
    with state.keeping(standing), closing(ahead(measure_step, state.request, parts)) as in_order:
        for part in in_order:
            *_, shard, image_ids = part
            _log.debug("measuring %d images of shard %s", len(image_ids), shard)
            n_measured += calls.measure(*part)
    _log.info("measured the pixels of %s images", f"{n_measured:,}")
    watcher.end()


def _deliver(state: RunState, calls: Steps, detector: Identity) -> None:
    """Score what the policy would flag again as it is delivered, if the request asks for it."""
    if state.request.delivery == "off":
        return
    watcher = progress.current()
    for _ in range(DELIVERY_ROUNDS):
        left = deliveries_pending(
            state.lake,
            detector.key,
            policy_of(state.request, detector),
            mode=state.request.delivery,
            image_ids=images_of(state.lake, state.batch_id),
        )
        if left.is_empty():
            break
        watcher.begin("deliver", len(left))
        parts = ((state.lake, state.request, state.run_id, *part) for part in _by_shard(left))
        with (
            state.keeping(lambda: "all scores are kept; the same command goes on"),
            closing(ahead(deliver_step, state.request, parts)) as in_order,
        ):
            for part in in_order:
                *_, shard, image_ids = part
                _log.debug("scoring deliveries of %d images of shard %s", len(image_ids), shard)
                state.deliveries += calls.deliver(*part)
        watcher.end()


def _by_shard(left: pl.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Yield the images to score in stored order, in portions of one task and one shard."""
    for (shard,), rows in left.sort("shard", "row_group", "row").group_by(
        "shard", maintain_order=True
    ):
        ids = rows.get_column("image_id").to_list()
        for start in range(0, len(ids), IMAGES_PER_TASK):
            yield str(shard), ids[start : start + IMAGES_PER_TASK]


def _first(lake: Lake, wanted: pl.Series | None) -> str | None:
    """Return the id of one image of the run, as an example for `assay show`."""
    if wanted is None:
        wanted = lake.scan("images").select("image_id").head(1).collect().get_column("image_id")
    return None if wanted.is_empty() else str(wanted.min())


def _n_images(lake: Lake, wanted: pl.Series | None) -> int:
    if wanted is not None:
        return len(wanted)
    return lake.n_rows("images")
