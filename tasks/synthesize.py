"""From jobs to rows: make pictures, store them as every other, and write down their lineage.

Pictures enter the lake by the same gate as any item, and their `synthetics` rows follow. A job is
done when its row is there: what a kill cut off between the two is made again, to the same bytes,
and counts as a duplicate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from ..data.errors import AssayError, StoreError, shorten
from ..data.items import Item, SourceOptions, bad_item
from ..data.lake import Lake
from ..data.schema import Reason, Row
from ..synth.methods import Made, Tools, make
from ..synth.plan import Job
from .current import current_sightings
from .ingest import IngestCounts, ingest_chunk
from .stopping import hand_on

JOBS_PER_CHUNK = 32


@dataclass(frozen=True, slots=True)
class _InMemory:
    """The address of a picture that was just made."""

    raw: bytes

    def read(self, _options: SourceOptions) -> bytes:
        """The bytes."""
        return self.raw


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthCounts:
    """What became of jobs: made now, known before, or failed."""

    made: int = 0
    known: int = 0
    failed: int = 0
    items: IngestCounts = field(default_factory=IngestCounts)

    def __add__(self, other: SynthCounts) -> SynthCounts:
        return SynthCounts(
            made=self.made + other.made,
            known=self.known + other.known,
            failed=self.failed + other.failed,
            items=self.items + other.items,
        )


def batch_of(plan_id: str) -> str:
    """The batch that a plan's pictures belong to."""
    return f"s-{plan_id}"


def uri_of(job: Job) -> str:
    """What a job's picture is called among the sightings."""
    return f"synth:///{job.block}/{job.key}"


def made_by(lake: Lake, batch_id: str) -> pl.DataFrame:
    """The pictures of a plan that are finished, by key: lineage, settings and licence flags.

    Of several rows for one key, the latest counts.
    """
    params = pl.col("params")
    return (
        lake.scan("synthetics")
        .filter(params.str.json_path_match("$.batch_id") == batch_id)
        .with_columns(
            key=params.str.json_path_match("$.key"), block=params.str.json_path_match("$.block")
        )
        .sort("created_at", maintain_order=True)
        .unique("key", keep="last", maintain_order=True)
        .select(
            "key",
            "block",
            "image_id",
            "parent_id",
            "label",
            "method",
            "strength",
            "params",
            "license_flags",
        )
        .collect()
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

    A job that fails becomes a rejected sighting with the reason `not_made`, is tried again by the
    next run, and stops nothing.

    Raises:
        StoreError: The lake cannot be read or written.
    """
    known = set(made_by(lake, batch_id)["key"])
    left = [job for job in jobs if job.key not in known]
    parents = _parents(lake, left)
    items: list[Item] = []
    made: dict[str, tuple[Job, Made]] = {}

    def commit() -> SynthCounts:
        counts = ingest_chunk(
            lake,
            items,
            batch_id=batch_id,
            run_id=run_id,
            chunk_index=chunk_index,
            options=SourceOptions(),
            n_workers=n_workers,
        )
        n_made = _commit(lake, made, batch_id=batch_id, run_id=run_id)
        return SynthCounts(
            made=n_made, known=len(jobs) - len(left), failed=len(items) - n_made, items=counts
        )

    try:
        for job in left:
            try:
                if job.parent_id is not None and job.parent_id not in parents:
                    raise StoreError(f"its parent {job.parent_id} is not in {lake.uri} any more")
                parent = parents.get(job.parent_id or "")
                picture = make(job, parent, tools, origin=f"{batch_id}/{job.key}")
            except (AssayError, MemoryError, RuntimeError, ValueError) as error:
                told = shorten(str(error) or type(error).__name__)
                items.append(bad_item(uri_of(job), Reason.NOT_MADE, told, fingerprint=job.key))
            else:
                made[uri_of(job)] = (job, picture)
                items.append(_item(job, picture))
            if on_item is not None:
                on_item(1)
        return commit()
    except BaseException as error:
        # A picture may have taken minutes: those that are finished are kept.
        if not isinstance(error, StoreError):
            hand_on(error, commit())
        raise


def _parents(lake: Lake, jobs: Sequence[Job]) -> dict[str, bytes]:
    wanted = {job.parent_id for job in jobs if job.parent_id is not None}
    there = (
        lake.scan("images")
        .filter(pl.col("image_id").is_in(list(wanted)))
        .select("image_id")
        .collect()["image_id"]
    )
    return dict(lake.images(there.unique().to_list())) if len(there) else {}


def _item(job: Job, made: Made) -> Item:
    return Item(
        source_uri=uri_of(job),
        fingerprint=hashlib.sha256(made.raw).hexdigest(),
        label=made.label,
        domain=None,
        address=_InMemory(made.raw),
    )


def _commit(lake: Lake, made: dict[str, tuple[Job, Made]], *, batch_id: str, run_id: str) -> int:
    """The lineage of the pictures that were stored; how many."""
    stored = (
        current_sightings(lake, batch_id)
        .filter(pl.col("source_uri").is_in(list(made)) & pl.col("image_id").is_not_null())
        .select("source_uri", "image_id")
        .collect()
    )
    now = datetime.now(UTC)
    rows = [
        _row(*made[uri], image_id=image_id, batch_id=batch_id, run_id=run_id, now=now)
        for uri, image_id in stored.iter_rows()
    ]
    if rows:
        keys = hashlib.sha256("".join(sorted(made)).encode()).hexdigest()[:24]
        lake.append("synthetics", rows, txn=f"synth:{run_id}:{keys}")
    return len(rows)


def _row(job: Job, made: Made, *, image_id: str, batch_id: str, run_id: str, now: datetime) -> Row:
    params: dict[str, Any] = {
        "key": job.key,
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
