"""Synthesis of a plan's jobs: make the images, ingest them, and record their lineage.

Made images are ingested like every other item, and their `synthetics` rows follow. A job is
finished once its row is committed. After a kill between the two commits, the image is made again
with the same bytes and becomes a duplicate.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from ...data.errors import AssayError, StoreError, shorten
from ...data.schema import Row
from ...data.sources.items import Item, SourceOptions, bad_item
from ...data.store.lake import Lake
from ...data.vocabulary import Reason
from ...synth.generators.answers import reason_of
from ...synth.job import Job
from ...synth.methods.make import make
from ...synth.methods.protocol import Made, Tools
from ...synth.plan.job_key import KEY_VERSION
from ..append_missing import append_missing
from ..ingest import ingest_chunk
from ..ingest_counts import IngestCounts
from ..latest_rows import latest_items
from ..work.stopping import hand_on
from .made_images import bytes_of, is_measured, made_of, uri_of

JOBS_PER_CHUNK = 32
KNOWN_JOBS_PER_CHUNK = 1000

# The interval between commits bounds the loss by a kill. It grows, since each commit adds a shard
# and a version to each of three tables.
FIRST_COMMIT_S = 1.0
LAST_COMMIT_S = 30.0
_COMMIT_GROWTH = 1.5
# Commits to a slow store take at most about a fifth of the time.
_COMMIT_SHARE = 5.0


@dataclass(frozen=True, slots=True)
class _InMemory:
    """The address of an image that was just made."""

    raw: bytes

    def read(self, _options: SourceOptions) -> bytes:
        """Return the bytes."""
        return self.raw


@dataclass(frozen=True, slots=True)
class _InLake:
    """The address of an image that was made for another plan."""

    lake: Lake
    image_id: str

    def read(self, _options: SourceOptions) -> bytes:
        """Return the bytes from the lake, called only for an image without a sighting."""
        return self.lake.image(self.image_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthCounts:
    """Counts of jobs by outcome.

    Attributes:
        made: Jobs whose image was made in this run.
        known: Jobs whose image was already made.
        failed: Jobs whose image could not be made.
        equal: Jobs that are equal to another job of the plan.
        items: Counts of the ingested images.
    """

    made: int = 0
    known: int = 0
    failed: int = 0
    equal: int = 0
    items: IngestCounts = field(default_factory=IngestCounts)

    def __add__(self, other: SynthCounts) -> SynthCounts:
        return SynthCounts(
            made=self.made + other.made,
            known=self.known + other.known,
            failed=self.failed + other.failed,
            equal=self.equal + other.equal,
            items=self.items + other.items,
        )


def synthesize_chunk(
    lake: Lake,
    jobs: Sequence[Job],
    tools: Tools,
    *,
    batch_id: str,
    run_id: str,
    chunk_index: int,
    n_workers: int,
    on_item: Callable[[int], None] | None = None,
) -> SynthCounts:
    """Make the missing images of jobs, and commit them with their lineage.

    A job that fails becomes a rejected sighting with the reason `not_made`; the next run tries it
    again. Finished images are committed at intervals of `FIRST_COMMIT_S` to `LAST_COMMIT_S`, and
    before an interrupt leaves this function.

    Args:
        lake: Lake of parents and made images.
        jobs: Jobs of the chunk.
        tools: Generators and models that the methods need.
        batch_id: Id of the plan's batch; see `batch_of`.
        run_id: Id of the run, written to the rows.
        chunk_index: Index of the chunk in the run.
        n_workers: Number of threads that ingest the images.
        on_item: Callback with the number of jobs finished since its last call.

    Raises:
        StoreError: The lake cannot be read or written.
        BaseException: Any other error, after a commit of the finished images; see `kept_of`.
    """
    since = lake.version("synthetics")
    known = _known(lake, jobs)
    left = [job for job in jobs if job.key not in known]
    parents = bytes_of(lake, {job.parent_id for job in left if job.parent_id is not None})
    waiting: list[tuple[Job, Made | str]] = []
    known_items = [_known_item(lake, job, known[job.key]) for job in jobs if job.key in known]

    def commit() -> SynthCounts:
        counts = _store(
            lake,
            waiting,
            known_items,
            batch_id=batch_id,
            run_id=run_id,
            chunk_index=chunk_index,
            n_workers=n_workers,
            since=since,
        )
        waiting.clear()
        known_items.clear()
        return counts

    if on_item is not None:
        on_item(len(known_items))
    total = SynthCounts()
    pause_s = FIRST_COMMIT_S
    due_s = time.monotonic() + pause_s
    try:
        for job in left:
            waiting.append((job, _attempt(job, parents, tools)))
            if on_item is not None:
                on_item(1)
            if time.monotonic() >= due_s:
                started_s = time.monotonic()
                total += commit()
                ended_s = time.monotonic()
                pause_s = min(pause_s * _COMMIT_GROWTH, LAST_COMMIT_S)
                due_s = ended_s + max(pause_s, _COMMIT_SHARE * (ended_s - started_s))
        return total + commit()
    except BaseException as error:
        # An image may have taken minutes, so the finished ones are kept.
        hand_on(error, total if isinstance(error, StoreError) else total + commit())
        raise


def _known(lake: Lake, jobs: Sequence[Job]) -> dict[str, Row]:
    """Return the rows of jobs whose images are finished and measured as the jobs ask, by key."""
    rows = {row["key"]: row for row in made_of(lake, jobs).iter_rows(named=True)}
    return {
        job.key: rows[job.key]
        for job in jobs
        if job.key in rows and is_measured(job, json.loads(rows[job.key]["params"]))
    }


def _known_item(lake: Lake, job: Job, row: Row) -> Item:
    image_id = row["image_id"]
    return Item(
        source_uri=uri_of(job),
        fingerprint=image_id,
        label=row["label"],
        domain=None,
        address=_InLake(lake, image_id),
    )


def _attempt(job: Job, parents: dict[str, bytes | str], tools: Tools) -> Made | str:
    """Return the image of a job, or a text that says why it could not be made."""
    parent = parents.get(job.parent_id) if job.parent_id is not None else None
    if isinstance(parent, str):
        return shorten(f"its parent {job.parent_id} cannot be read: {parent}")
    try:
        return make(job, parent, tools, origin=job.key)
    except AssayError as error:
        return shorten(str(error) or type(error).__name__)
    except Exception as error:  # noqa: BLE001
        # Installed generators may raise anything, and one image must not end the run.
        return reason_of(error)


def _store(
    lake: Lake,
    attempts: Sequence[tuple[Job, Made | str]],
    known_items: Sequence[Item],
    *,
    batch_id: str,
    run_id: str,
    chunk_index: int,
    n_workers: int,
    since: int | None,
) -> SynthCounts:
    """Commit made images with their lineage, failures as rejections, and known images."""
    made = [(job, outcome) for job, outcome in attempts if isinstance(outcome, Made)]
    items = [*known_items]
    items += [
        bad_item(uri_of(job), Reason.NOT_MADE, outcome, fingerprint=job.key)
        if isinstance(outcome, str)
        else _item(job, outcome)
        for job, outcome in attempts
    ]
    counts = ingest_chunk(
        lake,
        items,
        batch_id=batch_id,
        run_id=run_id,
        chunk_index=chunk_index,
        options=SourceOptions(),
        n_workers=n_workers,
    )
    n_stored, n_made = _commit(lake, made, batch_id=batch_id, run_id=run_id, since=since)
    return SynthCounts(
        made=n_made,
        known=len(known_items) + n_stored - n_made,
        failed=len(attempts) - n_stored,
        items=counts,
    )


def _item(job: Job, made: Made) -> Item:
    return Item(
        source_uri=uri_of(job),
        fingerprint=hashlib.sha256(made.raw).hexdigest(),
        label=made.label,
        domain=None,
        address=_InMemory(made.raw),
    )


def _commit(
    lake: Lake,
    made: Sequence[tuple[Job, Made]],
    *,
    batch_id: str,
    run_id: str,
    since: int | None,
) -> tuple[int, int]:
    """Commit the lineage of the stored images, without those that another run has committed.

    Returns:
        Number of stored images, and number of committed rows.
    """
    stored = (
        latest_items(lake, batch_id)
        .filter(
            pl.col("source_uri").is_in([uri_of(job) for job, _ in made])
            & pl.col("image_id").is_not_null()
        )
        .select("source_uri", "image_id")
        .collect()
    )
    images = dict(stored.iter_rows())
    now = datetime.now(UTC)
    rows = [
        _row(job, outcome, image_id=images[uri], batch_id=batch_id, run_id=run_id, now=now)
        for job, outcome in made
        if (uri := uri_of(job)) in images
    ]
    measures: dict[str, set[str]] = defaultdict(set)
    for job, _ in made:
        measures[job.key].update(job.contents.measures)

    def name(row: Row) -> str:
        # If another run made a different image for the same job, both have their lineage.
        params = json.loads(row["params"])
        measured = [f"{m}={params.get(m)}" for m in sorted(measures[str(params.get("key"))])]
        return " ".join([str(params.get("key")), row["image_id"], *measured])

    def taken(rows_since: pl.LazyFrame) -> set[str]:
        is_candidate = pl.col("image_id").is_in([row["image_id"] for row in rows])
        matches = rows_since.filter(is_candidate).select("image_id", "params").collect()
        return {name(row) for row in matches.iter_rows(named=True)}

    txn = f"synth:{run_id}:{batch_id}"
    committed = append_missing(
        lake, "synthetics", rows, since=since, name=name, taken=taken, txn=txn
    )
    return len(rows), len(committed)


def _row(job: Job, made: Made, *, image_id: str, batch_id: str, run_id: str, now: datetime) -> Row:
    params: dict[str, Any] = {
        "key": job.key,
        "key_version": KEY_VERSION,
        "block": job.block,
        "batch_id": batch_id,
        "settings": dict(job.settings),
        **made.notes,
    }
    return {
        "image_id": image_id,
        "parent_id": job.parent_id,
        "method": job.method,
        "generator": made.generator,
        "lora": made.lora,
        "prompt": made.prompt,
        "negative_prompt": made.negative_prompt,
        "seed": job.seed,
        "steps": made.steps,
        "guidance": made.guidance,
        "strength": made.strength,
        "params": json.dumps(params, sort_keys=True),
        "label": made.label,
        "license_flags": list(made.license_flags),
        "run_id": run_id,
        "created_at": now,
    }
