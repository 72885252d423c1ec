"""From jobs to rows: make pictures, store them as every other, and write down their lineage.

Pictures enter the lake by the same gate as any item, and their `synthetics` rows follow. A job is
done when its row is there: what a kill cut off between the two is made again, to the same bytes,
and counts as a duplicate.
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

from ..data.errors import AssayError, StoreError, shorten
from ..data.schema import Reason, Row
from ..data.sources.items import Item, SourceOptions, bad_item
from ..data.store.lake import Lake
from ..synth.generators.answers import reason_of
from ..synth.job import Job
from ..synth.methods.make import make
from ..synth.methods.protocol import Made, Tools
from ..synth.plan.job_key import KEY_VERSION
from .append_missing import append_missing
from .ingest import ingest_chunk
from .ingest_counts import IngestCounts
from .latest_rows import latest_items
from .made_images import bytes_of, is_measured, made_of, uri_of
from .work.stopping import hand_on

JOBS_PER_CHUNK = 32
KNOWN_JOBS_PER_CHUNK = 1000

# Pictures are committed as they get old, so that a kill loses little: first soon, then less and
# less often, since each commit is a shard and three versions of tables.
FIRST_COMMIT_S = 1.0
LAST_COMMIT_S = 30.0
_COMMIT_GROWTH = 1.5
# A commit to a slow store must not take more than a fifth of the time.
_COMMIT_SHARE = 5.0


@dataclass(frozen=True, slots=True)
class _InMemory:
    """The address of a picture that was just made."""

    raw: bytes

    def read(self, _options: SourceOptions) -> bytes:
        """The bytes."""
        return self.raw


@dataclass(frozen=True, slots=True)
class _InLake:
    """The address of a picture that was made for another plan."""

    lake: Lake
    image_id: str

    def read(self, _options: SourceOptions) -> bytes:
        """The bytes; read only where no sighting tells of them."""
        return self.lake.image(self.image_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthCounts:
    """What became of jobs: made now, known before, failed, or equal to another of the plan."""

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
    """Make the pictures of these jobs that are not there yet, and commit them with their lineage.

    A job that fails, in whatever way, becomes a rejected sighting with the reason `not_made`, is
    tried again by the next run, and stops nothing. What is finished is committed every some
    seconds, and on the way out of an interrupt, which then waits for one commit of at most
    `JOBS_PER_CHUNK` pictures and carries the counts of what was committed.

    Raises:
        StoreError: The lake cannot be read or written.
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
        # A picture may have taken minutes: those that are finished are kept.
        hand_on(error, total if isinstance(error, StoreError) else total + commit())
        raise


def _known(lake: Lake, jobs: Sequence[Job]) -> dict[str, Row]:
    """The rows of jobs whose pictures are finished and measured as asked, by key."""
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
    """The picture of a job, or why there is none."""
    parent = parents.get(job.parent_id) if job.parent_id is not None else None
    if isinstance(parent, str):
        return shorten(f"its parent {job.parent_id} cannot be read: {parent}")
    try:
        return make(job, parent, tools, origin=job.key)
    except AssayError as error:
        return shorten(str(error) or type(error).__name__)
    except Exception as error:  # noqa: BLE001
        # Generators are other people's code, and one picture must not end a run.
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
    """Commit finished pictures with their lineage, failures as rejections, and known ones."""
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
    """Commit the lineage of the pictures that were stored, unless another run has.

    Returns:
        The number of pictures that were stored, and of rows that were committed.
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
        # Of a job whose picture came out otherwise in another run, both have their lineage.
        params = json.loads(row["params"])
        measured = [f"{m}={params.get(m)}" for m in sorted(measures[str(params.get("key"))])]
        return " ".join([str(params.get("key")), row["image_id"], *measured])

    def taken(came: pl.LazyFrame) -> set[str]:
        is_meant = pl.col("image_id").is_in([row["image_id"] for row in rows])
        found = came.filter(is_meant).select("image_id", "params").collect()
        return {name(row) for row in found.iter_rows(named=True)}

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
