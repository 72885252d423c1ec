"""One run from sources to a report: the order of the steps, their counts, and what is kept of them.

How a step is called is a parameter: directly here, as a Prefect task in `flows.moderate`.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import polars as pl

from ..data.errors import StoreError
from ..data.package_versions import package_versions
from ..data.sources.find import Item, find_items
from ..data.store.damage import explain
from ..data.store.lake import Lake
from ..tasks.batches import batch_id_of, chunks
from ..tasks.decide.policy_file import load_policy
from ..tasks.detector.backends.protocol import check_backend
from ..tasks.detector.identity import Identity
from ..tasks.ingest_counts import IngestCounts
from ..tasks.lake.check import require_images_known
from ..tasks.lake.fit import require_fit, require_tables
from ..tasks.score import ScoreCounts, pending
from ..tasks.views import ViewCounts, check_mode, views_pending
from ..tasks.work.stopping import is_stop, kept_of, standing_of
from ..version import __version__
from . import progress, steps
from .dead_runs import close_dead_runs, this_process
from .lookahead import ListedAhead
from .process.malloc import limit_arenas
from .request import Request
from .result import Moderation

# Large enough that a commit costs nothing beside it, small enough to bound what a kill repeats.
IMAGES_PER_TASK = 1000

# Listed before the first is read, so that the end of most runs can be told; about 10 MB.
ITEMS_AHEAD = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """How each step is called."""

    ingest: Callable[[Request, str, str, int, Sequence[Item]], IngestCounts] = steps.ingest_step
    ingest_and_score: Callable[
        [Request, str, str, int, Sequence[Item]], tuple[IngestCounts, ScoreCounts]
    ] = steps.ingest_and_score_step
    score: Callable[[Request, str, str, Sequence[str]], ScoreCounts] = steps.score_step
    views: Callable[[Request, str, str, Sequence[str]], ViewCounts] = steps.views_step
    decide: Callable[[Request, str, str | None], dict[str, int]] = steps.decide_step
    report: Callable[[Request, str], str] = steps.report_step


class Bring(Protocol):
    """Another way for images to come into the lake than from sources."""

    @property
    def batch_id(self) -> str:
        """The batch that the images belong to."""
        ...

    def params(self) -> dict[str, Any]:
        """What the run's record shall hold of it."""
        ...

    def __call__(self, lake: Lake, run_id: str) -> IngestCounts:
        """Bring the images in, all of one batch."""
        ...


@dataclass(slots=True)
class _Run:
    """The run so far; becomes its row in `runs` and its answer."""

    request: Request
    flow: str
    run_id: str
    batch_id: str | None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock_s: float = field(default_factory=time.monotonic)
    items: IngestCounts = field(default_factory=IngestCounts)
    scores: ScoreCounts = field(default_factory=ScoreCounts)
    views: ViewCounts = field(default_factory=ViewCounts)
    decisions: dict[str, int] = field(default_factory=dict)
    detector: Identity | None = None
    backend: str | None = None
    backend_why: str | None = None
    report: str | None = None
    bring: Bring | None = None
    example: str | None = None

    @property
    def asks(self) -> bool:
        """Whether the request alone says what was run, so that a command can ask for it again."""
        return self.bring is None and self.flow in {"moderate", "ingest", "score"}

    def answer(self) -> Moderation:
        """What the run came to, so far."""
        seconds = time.monotonic() - self.clock_s
        return Moderation(
            run_id=self.run_id,
            lake=self.request.lake,
            batch_id=self.batch_id,
            items=self.items.items,
            stored=self.items.stored,
            duplicates=self.items.duplicates,
            rejected=self.items.rejected,
            rejected_by=dict(self.items.rejected_by),
            labels_not_taken=dict(self.items.labels_not_taken),
            unchanged=self.items.unchanged,
            scored=self.scores.scored,
            failed=self.scores.failed,
            already_scored=self.scores.known,
            views=self.views.scored,
            decisions=self.decisions,
            detector=self.detector.detector_id if self.detector else None,
            precision=self.detector.precision if self.detector else None,
            backend=self.backend,
            backend_why=self.backend_why,
            seconds=round(seconds, 3),
            images_per_second=round(self.scores.scored / seconds, 3) if seconds else 0.0,
            report=self.report,
            example=self.example,
            again=self.request.command(self.flow, lake=self.request.lake) if self.asks else None,
        )

    @contextlib.contextmanager
    def keeping(self, standing: Callable[[], str] | None = None) -> Iterator[None]:
        """Count what a step had committed when something stopped it, and say how far it came."""
        try:
            yield
        except BaseException as error:
            for part in kept_of(error):
                if isinstance(part, IngestCounts):
                    self.items += part
                elif isinstance(part, ScoreCounts):
                    self.scores += part
                elif isinstance(part, ViewCounts):
                    self.views += part
            if standing is not None and is_stop(error):
                error.add_note(standing())
            raise

    def record(self, lake: Lake, status: str) -> None:
        """Appends the run's row; of several, the latest counts."""
        params: dict[str, Any] = self.request.params() | {
            "batch_id": self.batch_id,
            "process": this_process(),
        }
        if self.asks:
            params["command"] = self.request.command(self.flow, lake=lake.uri)
        if self.bring is not None:
            params |= self.bring.params()
        if self.detector is not None:
            policy = steps.policy_of(self.request, self.detector)
            params |= {
                **self.detector.key.as_row(),
                "weights_pinned": self.detector.is_pinned,
                "backend": self.backend,
                "backend_why": self.backend_why,
                "policy_id": policy.policy_id,
                "policy_rules": policy.as_dict(),
                "versions": package_versions(),
            }
        row = {
            "run_id": self.run_id,
            "flow": self.flow,
            "status": status,
            "params": json.dumps(params),
            "config_sha256": self.request.config_sha256(),
            "code_version": __version__,
            "started_at": self.started_at,
            "finished_at": None if status == "running" else datetime.now(UTC),
            "counts": None if status == "running" else json.dumps(self.answer().to_json()),
        }
        lake.append("runs", [row], txn=f"run:{self.run_id}:{status}")


def new_run_id() -> str:
    """A name that sorts by time and never repeats: UTC seconds and 8 random hex digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def run(
    request: Request,
    *,
    calls: Steps | None = None,
    flow: str = "moderate",
    bring: Bring | None = None,
) -> Moderation:
    """Ingests the sources if there are any, scores, decides, reports.

    Without sources it scores every image of the lake. What is known already is neither read nor
    scored again, so the answer to an interrupted run is to start it once more.

    Args:
        request: What to read and how to judge it.
        calls: How the steps are called; directly by default.
        flow: Name of the run in the `runs` table: `moderate`, `ingest`, `score` or `augment`.
        bring: Brings the images in, instead of sources.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
        TooManyRejected: The run is complete, and more of its items were rejected than the request
            allows.
    """
    limit_arenas()
    calls = calls or Steps()
    detector = check_judging(request) if flow != "ingest" else None
    lake = _opened(request)
    require_tables(lake)  # before this run records itself in one of them
    batch_id = batch_id_of(request.sources, request.source_options) if request.sources else None
    if bring is not None:
        batch_id = bring.batch_id
    state = _Run(
        request=request,
        flow=flow,
        run_id=new_run_id(),
        batch_id=batch_id,
        detector=detector,
        bring=bring,
    )
    try:
        # Within the block: an interrupt as soon as the row is there is recorded too.
        state.record(lake, "running")
        close_dead_runs(lake, by=state.run_id)
        require_fit(lake, batch_id)
        if batch_id is None:
            require_images_known(lake)
        if bring is not None:
            with state.keeping():
                state.items += bring(lake, state.run_id)
        elif batch_id is not None:
            _ingest(state, calls, batch_id, scores=detector is not None)
        if detector is not None:
            _score(state, lake, calls, detector)
            _look_further(state, lake, calls, detector)
            with state.keeping(lambda: "all scores are kept; the same command decides and reports"):
                state.decisions = calls.decide(request, state.run_id, batch_id)
        # The report reads the run's row, so the row comes first.
        state.record(lake, "completed")
        if detector is not None:
            state.report = calls.report(request, state.run_id)
    except BaseException as error:
        # The table of runs may be what is damaged; the first error is the one to tell.
        with contextlib.suppress(StoreError):
            state.record(lake, "interrupted" if is_stop(error) else "failed")
        if (found := explain(error, lake.uri)) is not None:
            raise found from error
        raise
    answer = state.answer()
    answer.check_rejected(request.fail_on_rejected)
    return answer


def _opened(request: Request) -> Lake:
    """The lake of a request; made where there is none, unless its sources cannot be read."""
    try:
        return Lake(request.lake, create=False)
    except StoreError:
        if not request.sources:
            raise
        find_items(request.sources, request.source_options)
        return Lake(request.lake)


def check_judging(request: Request) -> Identity:
    """Return what the request's scores are known by, once all that judges is known to be there.

    Whatever can be wrong with these is said before hours of reading. The detector itself is loaded
    when there is something to score: a run that finds nothing new needs no PyTorch.

    Raises:
        AssayError: The policy, the detector, the backend or the views cannot be used.
    """
    load_policy(request.policy_path)
    detector = steps.identity_of(request)
    check_backend(request.backend)
    check_mode(request.views)
    if {request.device, request.backend, request.precision} != {"auto"}:
        steps.detector_of(request)
    return detector


def check(request: Request) -> None:
    """Raise what a run of this request would raise at once: for those who start it later."""
    check_judging(request)
    if request.sources:
        find_items(request.sources, request.source_options)
    Lake(request.lake, create=bool(request.sources))


def _ingest(state: _Run, calls: Steps, batch_id: str, *, scores: bool) -> None:
    """Brings the sources' items in; where they shall be scored, in the same pass."""
    request = state.request
    watcher = progress.current()
    found = ListedAhead(find_items(request.sources, request.source_options), ITEMS_AHEAD)
    watcher.begin("moderate" if scores else "ingest", None)

    def standing() -> str:
        verb = "done" if scores else "read"
        return standing_of(state.items.items, found.total, "items", verb)

    with state.keeping(standing):
        for index, chunk in enumerate(chunks(found, max_items=IMAGES_PER_TASK)):
            watcher.expect(found.total)
            if not scores:
                state.items += calls.ingest(request, state.run_id, batch_id, index, chunk)
                continue
            items, scored = calls.ingest_and_score(request, state.run_id, batch_id, index, chunk)
            state.items += items
            state.scores += scored
            if scored.scored or scored.failed:
                _name_backend(state)
    watcher.end()


def _score(state: _Run, lake: Lake, calls: Steps, detector: Identity) -> None:
    """Scores what the lake has of the batch and no pass has scored yet."""
    wanted = steps.images_of(lake, state.batch_id)
    state.example = _first(lake, wanted)
    left = pending(lake, detector.key, image_ids=wanted)
    done = state.scores.scored + state.scores.failed
    state.scores += ScoreCounts(known=_n_images(lake, wanted) - len(left) - done)
    if left.is_empty():
        return
    _name_backend(state)
    watcher = progress.current()
    watcher.begin("score", len(left))

    def standing() -> str:
        n_done = state.scores.scored + state.scores.failed - done
        return standing_of(n_done, len(left), "images", "scored")

    with state.keeping(standing):
        for shard, image_ids in _by_shard(left):
            state.scores += calls.score(state.request, state.run_id, shard, image_ids)
    watcher.end()


def _name_backend(state: _Run) -> None:
    loaded = steps.detector_of(state.request)
    state.backend, state.backend_why = loaded.backend, loaded.why


def _look_further(state: _Run, lake: Lake, calls: Steps, detector: Identity) -> None:
    mode = state.request.views
    if mode == "centre":
        return
    watcher = progress.current()
    wanted = steps.images_of(lake, state.batch_id)
    left = views_pending(
        lake, detector.key, side_px=detector.profile.crop_px, mode=mode, image_ids=wanted
    )
    watcher.begin("views", len(left))

    def standing() -> str:
        return standing_of(state.views.images, len(left), "images", "looked at in tiles")

    with state.keeping(standing):
        for shard, image_ids in _by_shard(left):
            state.views += calls.views(state.request, state.run_id, shard, image_ids)
    watcher.end()


def _by_shard(left: pl.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """The images to score, as one task's worth of one shard at a time, in stored order."""
    for (shard,), rows in left.sort("shard", "row_group", "row").group_by(
        "shard", maintain_order=True
    ):
        ids = rows.get_column("image_id").to_list()
        for start in range(0, len(ids), IMAGES_PER_TASK):
            yield str(shard), ids[start : start + IMAGES_PER_TASK]


def _first(lake: Lake, wanted: pl.Series | None) -> str | None:
    """The id of one image of the run, to show what can be asked of one."""
    if wanted is None:
        wanted = lake.scan("images").select("image_id").head(1).collect().get_column("image_id")
    return None if wanted.is_empty() else str(wanted.min())


def _n_images(lake: Lake, wanted: pl.Series | None) -> int:
    if wanted is not None:
        return len(wanted)
    return int(lake.scan("images").select(pl.len()).collect().item())
