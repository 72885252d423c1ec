"""From jobs to rows: make pictures, store them as every other, and write down their lineage.

Pictures enter the lake by the same gate as any item, and their `synthetics` rows follow. A job is
done when its row is there: what a kill cut off between the two is made again, to the same bytes,
and counts as a duplicate. Rows are found by a job's key, whichever plan asked for it first, so
that plans share what they have in common.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl
from PIL import ExifTags, Image

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

_MADE_SCHEMA = pl.Schema(
    {
        "key": pl.String(),
        "block": pl.String(),
        "image_id": pl.String(),
        "parent_id": pl.String(),
        "label": pl.String(),
        "method": pl.String(),
        "strength": pl.Float64(),
        "params": pl.String(),
        "license_flags": pl.List(pl.String()),
    }
)


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


def batch_of(plan_id: str) -> str:
    """The batch that a plan's pictures belong to."""
    return f"s-{plan_id}"


def uri_of(job: Job) -> str:
    """What a job's picture is called among the sightings: by its settings, whatever they stand for.

    So a picture made again, since a file behind a setting was replaced, takes the other's place.
    """
    return f"synth:///{job.method}/{job.recipe or job.key}"


def made_of(lake: Lake, jobs: Sequence[Job]) -> pl.DataFrame:
    """The pictures of these jobs that are finished, one row a job: lineage, block and settings.

    Block and settings are the job's. Of several rows for one job, the latest counts that measures
    what the job asks for. Rows of the first version of keys count where they tell enough to be
    sure that they are of the same job.
    """
    by_key: dict[str, list[Job]] = defaultdict(list)
    by_recipe: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_key[job.key].append(job)
        if job.contents.recorded is not None:
            by_recipe[job.recipe].append(job)
    params = pl.col("params")
    rows = (
        lake.scan("synthetics")
        .with_columns(
            key=params.str.json_path_match("$.key"),
            key_version=params.str.json_path_match("$.key_version"),
            attacked=params.str.json_path_match("$.attacked"),
        )
        .filter(pl.col("key").is_in([*by_key, *by_recipe]))
        # One whose bytes were lost is not finished any more: it is made again.
        .join(lake.scan("images").select("image_id"), on="image_id", how="semi")
        .sort("created_at", maintain_order=True)
        .collect()
    )
    found: dict[str, list[Row]] = defaultdict(list)
    is_first = pl.col("key_version").is_null()
    plain = _plain(lake, rows.filter(is_first)["parent_id"].drop_nulls().unique().to_list())
    for row in rows.filter(is_first).iter_rows(named=True):
        for job in by_recipe[row["key"]]:
            if _is_same(row, job) and (job.parent_id is None or job.parent_id in plain):
                found[job.key].append(row)
    for row in rows.filter(~is_first).iter_rows(named=True):
        found[row["key"]].append(row)
    return pl.DataFrame(
        [
            _made_row(job, found[key])
            for key, jobs in by_key.items()
            if key in found
            for job in jobs
        ],
        schema=_MADE_SCHEMA,
    )


def failures_of(lake: Lake, jobs: Sequence[Job], batch_id: str) -> list[tuple[str, int]]:
    """Why pictures of these jobs could not be made, and how many each time, most first.

    A job that was made since, or is none of these, does not count.
    """
    rows = (
        latest_items(lake, batch_id)
        .filter(
            pl.col("source_uri").is_in([uri_of(job) for job in jobs])
            & (pl.col("reason") == Reason.NOT_MADE.value)
        )
        # What differs by the parent alone is one reason.
        .with_columns(pl.col("detail").str.replace_all(r"\b[0-9a-f]{64}\b", "IMAGE_ID"))
        .group_by("detail")
        .len()
        .sort(["len", "detail"], descending=[True, False])
        .collect()
    )
    return list(rows.select("detail", "len").iter_rows())


def _made_row(job: Job, rows: Sequence[Row]) -> Row:
    told = [json.loads(row["params"]) for row in rows]
    measured = [at for at, params in enumerate(told) if _is_measured(job, params)]
    at = measured[-1] if measured else -1
    row, params = rows[at], told[at] | {"settings": dict(job.settings)}
    return {name: row.get(name) for name in _MADE_SCHEMA} | {
        "key": job.key,
        "block": job.block,
        "params": json.dumps(params, sort_keys=True),
    }


def _plain(lake: Lake, image_ids: Sequence[str]) -> set[str]:
    """Those of the images that every version decodes to the same pixels: upright and RGB."""
    plain = set()
    for image_id, raw in _bytes(lake, image_ids).items():
        if isinstance(raw, str):
            continue
        with contextlib.suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            image = Image.open(io.BytesIO(raw))
            if image.mode == "RGB" and image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
                plain.add(image_id)
    return plain


def _is_same(row: Row, job: Job) -> bool:
    """Whether a row of the first version is of this job, as far as ids tell."""
    recorded = job.contents.recorded or {}
    return all(row[name] == value for name, value in recorded.items())


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
    parents = _bytes(lake, {job.parent_id for job in left if job.parent_id is not None})
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
        if job.key in rows and _is_measured(job, json.loads(rows[job.key]["params"]))
    }


def _is_measured(job: Job, params: dict[str, Any]) -> bool:
    return all(params.get(name) == by for name, by in job.contents.measures.items())


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
    made = [(job, told) for job, told in attempts if isinstance(told, Made)]
    items = [*known_items]
    items += [
        bad_item(uri_of(job), Reason.NOT_MADE, told, fingerprint=job.key)
        if isinstance(told, str)
        else _item(job, told)
        for job, told in attempts
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


def _bytes(lake: Lake, image_ids: Iterable[str]) -> dict[str, bytes | str]:
    """By id: the bytes of images, or why there are none."""
    wanted = list(image_ids)
    if not wanted:
        return {}
    out: dict[str, bytes | str] = dict.fromkeys(wanted, f"it is not in {lake.uri} any more")
    there = (
        lake.scan("images")
        .filter(pl.col("image_id").is_in(wanted))
        .select(pl.col("image_id").unique())
        .collect()["image_id"]
        .to_list()
    )
    try:
        out |= dict(lake.images(there))
    except StoreError:
        # One of them is damaged: the others are read one by one.
        for image_id in there:
            try:
                out[image_id] = lake.image(image_id)
            except StoreError as error:
                out[image_id] = str(error)
    return out


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
        _row(job, told, image_id=images[uri], batch_id=batch_id, run_id=run_id, now=now)
        for job, told in made
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
