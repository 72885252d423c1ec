"""State of a run: its counts, which become its row in `runs` and its result."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

from ..data.errors import shorten
from ..data.package_versions import package_versions
from ..data.store.lake import Lake
from ..tasks.accountability.verify_log import ANCHOR
from ..tasks.decide.decision_log import tail_of
from ..tasks.delivery.deliver import DeliveryCounts
from ..tasks.detector.identity import Identity
from ..tasks.drift.of_run import RunDrift
from ..tasks.ingest_counts import IngestCounts
from ..tasks.rejections import most_first
from ..tasks.score import ScoreCounts
from ..tasks.views import ViewCounts
from ..tasks.work.stopping import is_stop, kept_of
from ..version import __version__
from .dead_runs import this_process
from .judging import policy_of
from .process.json_lines import begin_run
from .request import Request
from .results.moderation import Moderation
from .steps import backend_step

_log = logging.getLogger(__name__)

_SOURCES_LOGGED: Final = 5


Stage = Literal["ingested", "completed", "failed", "interrupted"]
"""What a run has come to: its batch is ingested, or the run has ended."""

Tell = Callable[[Stage, Moderation], None]
"""Receiver of the stages of a run, each with the counts so far; it raises no error."""


class BatchSource(Protocol):
    """Source of images other than a request's sources."""

    @property
    def batch_id(self) -> str:
        """Batch of the images."""
        ...

    def params(self) -> dict[str, Any]:
        """Return its parameters for the run's record."""
        ...

    def __call__(self, lake: Lake, run_id: str) -> IngestCounts:
        """Ingest the images of the batch."""
        ...


def new_run_id() -> str:
    """Return a unique id that sorts by time: UTC seconds and 8 random hex digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


@dataclass(slots=True, kw_only=True)
class RunState:
    """State of a run.

    Attributes:
        flow: Name of the run in the `runs` table.
        batch_id: Batch of the run; None for the whole lake.
        detector: Identity of the detector; None for a run that only ingests.
        source: Source of the images instead of the request's sources.
    """

    request: Request
    lake: Lake
    flow: str
    batch_id: str | None
    detector: Identity | None
    source: BatchSource | None
    run_id: str = field(default_factory=new_run_id)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock_s: float = field(default_factory=time.monotonic)
    items: IngestCounts = field(default_factory=IngestCounts)
    scores: ScoreCounts = field(default_factory=ScoreCounts)
    views: ViewCounts = field(default_factory=ViewCounts)
    deliveries: DeliveryCounts = field(default_factory=DeliveryCounts)
    decisions: dict[str, int] = field(default_factory=dict)
    drift: RunDrift | None = None
    backend: str | None = None
    backend_why: str | None = None
    report: str | None = None
    example: str | None = None

    def __post_init__(self) -> None:
        begin_run(self.run_id)

    @property
    def asks(self) -> bool:
        """Whether the request alone determines the run, so that a command can repeat it."""
        return self.source is None and self.flow in {"moderate", "ingest", "score"}

    def shown_sources(self) -> list[str]:
        """Return the first sources without secrets, and the number of the others."""
        sources = [shorten(source) for source in self.request.params()["sources"]]
        rest = len(sources) - _SOURCES_LOGGED
        return sources[:_SOURCES_LOGGED] + ([f"and {rest:,} more"] if rest > 0 else [])

    def answer(self) -> Moderation:
        """Return the result of the run so far."""
        seconds = time.monotonic() - self.clock_s
        return Moderation(
            run_id=self.run_id,
            lake=self.request.lake,
            batch_id=self.batch_id,
            items=self.items.items,
            stored=self.items.stored,
            duplicates=self.items.duplicates,
            rejected=self.items.rejected,
            rejected_by_reason=most_first(self.items.rejected_by_reason),
            labels_not_taken=dict(self.items.labels_not_taken),
            unchanged=self.items.unchanged,
            scored=self.scores.scored,
            failed=self.scores.failed,
            already_scored=self.scores.known,
            views=self.views.scored,
            deliveries=self.deliveries.scored,
            decisions=self.decisions,
            drift=self.drift,
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
        """Count what a step has committed before it is stopped, and note its progress."""
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
                elif isinstance(part, DeliveryCounts):
                    self.deliveries += part
            if standing is not None and is_stop(error):
                error.add_note(standing())
            raise

    def record(self, status: str) -> None:
        """Append the run's row; the latest of several rows applies."""
        params: dict[str, Any] = self.request.params() | {
            "batch_id": self.batch_id,
            "process": this_process(),
        }
        if self.asks:
            params["command"] = self.request.command(self.flow, lake=self.lake.uri)
        if self.source is not None:
            params |= self.source.params()
        if self.detector is not None:
            policy = policy_of(self.request, self.detector)
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
            "counts": None if status == "running" else json.dumps(self._counts()),
        }
        self.lake.append("runs", [row], txn=f"run:{self.run_id}:{status}")

    def _counts(self) -> dict[str, Any]:
        """Return the counts for the record, with the end of the decision log if it has rows."""
        counts = self.answer().to_json()
        if self.decisions:
            counts[ANCHOR] = tail_of(self.lake, self.run_id).to_json()
        return counts

    def add_chunk(
        self, index: int, items: IngestCounts, scores: ScoreCounts | None, *, total: int | None
    ) -> None:
        """Add the counts of a finished chunk of items, and log them.

        Args:
            index: Number of the chunk, from 0.
            items: Counts of its items.
            scores: Counts of its scores; None for a run that only ingests.
            total: Number of items of the run, if it is known.
        """
        self.items += items
        self.scores += scores or ScoreCounts()
        fields = {
            "chunk": index,
            "items": items.items,
            "stored": items.stored,
            "duplicates": items.duplicates,
            "rejected": items.rejected,
            "unchanged": items.unchanged,
        }
        if scores is not None:
            fields |= {"scored": scores.scored, "failed": scores.failed}
        self._log_part(f"chunk {index}", fields, self.items.items, total, "items")

    def add_shard(self, shard: str, scores: ScoreCounts, *, before: int, total: int) -> None:
        """Add the counts of a scored portion of a shard, and log them.

        Args:
            shard: Name of the shard.
            scores: Counts of its images.
            before: Number of images that the pass over the items has scored.
            total: Number of images that it has left.
        """
        self.scores += scores
        done = self.scores.scored + self.scores.failed - before
        fields = {"scored": scores.scored, "failed": scores.failed}
        self._log_part(f"shard {shard}", fields, done, total, "images")

    def _log_part(
        self, part: str, fields: dict[str, int], n_done: int, total: int | None, unit: str
    ) -> None:
        counts = ", ".join(f"{n:,} {name}" for name, n in fields.items() if n and name != "chunk")
        # Each item is also counted as stored, a duplicate or rejected.
        counts = counts.replace(" unchanged", " of them unchanged")
        of = "" if total is None else f" of {total:,}"
        rate = n_done / max(time.monotonic() - self.clock_s, 1e-3)
        _log.info(
            "%s: %s; %s%s %s done, %.1f %s/s",
            *(part, counts or "nothing new", f"{n_done:,}", of, unit, rate, unit),
            extra={"fields": fields | {"done": n_done, "total": total, "per_second": rate}},
        )

    def name_backend(self) -> None:
        """Record the backend that scores, and the reason for its choice."""
        if self.backend is not None and self.request.runner != "threads":
            return  # a further task of a cluster would tell the same
        backend, why = backend_step(self.lake, self.request)
        if self.backend is None:
            _log.info(
                "backend %s: %s",
                *(backend, why),
                extra={"fields": {"backend": backend, "why": why}},
            )
        self.backend, self.backend_why = backend, why
