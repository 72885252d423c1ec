"""Forgetting: an image leaves the lake, and a tombstone keeps it out.

Erased are its bytes in every shard, and the rows computed from its pixels (`images`, `scores`,
`views`, `deliveries`, `measures`), in every version of these tables: hashes, metadata of the file,
embeddings and logits. Reports that may show it are deleted, and the numbers of columns that this
machine keeps. Its items are recorded as rejected, `forgotten`.

What people said and what was decided stays, as rows that name the id: `decisions` is a chained log,
which a removed row would break, and has nothing from which an image could be made again.

The tombstone is committed first, and every later step finds what is left, so an interrupted
forgetting is completed by the next one, by a repair, or by the same call.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final

import polars as pl
import pyarrow as pa

from ...data.errors import ConfigError, InputError, shorten
from ...data.schema import Row
from ...data.store import shards
from ...data.store.erasure.erased_shard import erase_bytes, has_bytes_of
from ...data.store.erasure.table_rows import redact_older_files, remove_rows, shards_of
from ...data.store.erasure.tombstones import DERIVED, TABLE
from ...data.store.files import TMP_PREFIX, cannot
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ...data.vocabulary import Reason, Status
from ..append_missing import retry_conflicts
from .sweep import REPORTS

MAX_REASON_CHARS: Final = 200
_ID: Final = re.compile(r"[0-9a-f]{64}")
_NAMED: Final = 3
# Tables whose rows name images and stay.
KEPT: Final = ("sightings", "decisions", "reviews", "synthetics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was erased.

    Attributes:
        rows: Number of rows removed from the current version, by table.
        older_files: Files of older versions that were written again without the images.
        shards: Shards that were written again without the bytes of the images.
        items: Number of items recorded as rejected.
        reports: Deleted reports.
    """

    rows: dict[str, int] = field(default_factory=dict)
    older_files: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()
    items: int = 0
    reports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """The result of forgetting images.

    Attributes:
        lake: Address of the lake.
        image_ids: Ids of the images, sorted.
        n_before: Number of them that were forgotten before.
        n_completed: Number of other images whose forgetting was interrupted and is complete now.
        erased: Counts of what was erased.
    """

    lake: str
    image_ids: tuple[str, ...]
    n_before: int
    n_completed: int
    erased: Erased

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)


def forget(
    lake: Lake, image_ids: Iterable[str], *, by: str, reason: str | None = None
) -> Forgotten:
    """Remove images from a lake, and keep them out of it from now on.

    Near copies are other images and stay. Datasets that were published, and other copies of a lake,
    are not touched.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images, 64 hex digits each.
        by: Name of the person who asks for it.
        reason: Reason for it; kept in the lake.

    Raises:
        InputError: An id is not that of an image of the lake; nothing is changed.
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written; the next call completes what was begun.
    """
    wanted = checked_ids(lake, image_ids)
    words = None if reason is None else shorten(reason, MAX_REASON_CHARS) or None
    before = lake.tombstones.ids()
    new = [image_id for image_id in wanted if image_id not in before]
    _record(lake, new, is_erased=False, by=by, reason=words)
    unfinished = lake.tombstones.unfinished()
    # Those forgotten before are erased again: the call says that nothing of them is left.
    erased = erase(lake, unfinished.union(wanted), unfinished=unfinished)
    _record(lake, unfinished, is_erased=True, by=by, reason=None)
    return Forgotten(
        lake=lake.uri,
        image_ids=tuple(wanted),
        n_before=len(wanted) - len(new),
        n_completed=len(unfinished.difference(wanted)),
        erased=erased,
    )


def complete(lake: Lake) -> Erased | None:
    """Remove what is left of all forgotten images; return None for a lake without any.

    Args:
        lake: Lake of the images.

    Raises:
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written.
    """
    ids = lake.tombstones.ids()
    if not ids:
        return None
    unfinished = lake.tombstones.unfinished()
    erased = erase(lake, ids, unfinished=unfinished)
    _record(lake, unfinished, is_erased=True, by="assay", reason=None)
    return erased


def erase(lake: Lake, image_ids: Collection[str], *, unfinished: Collection[str]) -> Erased:
    """Remove images with a tombstone from shards, tables and reports; what is gone costs a look.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.
        unfinished: Ids of those whose reports are deleted; later reports do not show the others.

    Raises:
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written.
    """
    if not image_ids:
        return Erased()
    with lake.writing():
        # While the rows are there that name them.
        named = shards_of(lake.store, image_ids)
        # In this order sightings name images that are there, and images bytes that are.
        n_items = _reject_items(lake, image_ids)
        rows = {table: _remove_rows(lake, table, image_ids) for table in DERIVED}
        erased = _erase_shards(lake, image_ids, named)
        older = [
            name
            for table in DERIVED
            for name in redact_older_files(lake.store, lake.tables, table, image_ids)
        ]
        for table in DERIVED:
            lake.tables.numbers.keep_only(table, lake.tables.files(table))
        reports = reports_that_may_show(lake, unfinished) if unfinished else []
        for name in reports:
            lake.store.delete(name)
    return Erased(
        rows={table: n for table, n in rows.items() if n},
        older_files=tuple(older),
        shards=tuple(erased),
        items=n_items,
        reports=tuple(reports),
    )


def checked_ids(lake: Lake, image_ids: Iterable[str]) -> list[str]:
    """Return ids of images that a lake has, or has forgotten, sorted and each once.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.

    Raises:
        ConfigError: There is no id.
        InputError: A text is no id, or not that of an image of the lake.
        StoreError: The lake cannot be read.
    """
    wanted = sorted(set(image_ids))
    if not wanted:
        raise ConfigError("no image is named; give at least one id, or a file with --ids")
    if wrong := [text for text in wanted if not _ID.fullmatch(text)]:
        raise InputError(
            f"{counted(len(wrong), 'text is', 'texts are')} no id of an image: {_some(wrong)};"
            " allowed: 64 hex digits, as assay show prints them; nothing was changed"
        )
    known = set(lake.tombstones.ids())
    for table in (*DERIVED, *KEPT):
        unknown = [image_id for image_id in wanted if image_id not in known]
        if unknown and lake.version(table) is not None:
            rows = lake.rows_of(table, unknown).select("image_id")
            known |= set(rows.collect()["image_id"])
    if unknown := [image_id for image_id in wanted if image_id not in known]:
        raise InputError(
            f"{counted(len(unknown), 'id is no image', 'ids are no images')} of {lake.uri}:"
            f" {_some(unknown)}; nothing was changed"
        )
    return wanted


def n_rows_of(lake: Lake, image_ids: Collection[str]) -> dict[str, int]:
    """Return the number of rows that forgetting images removes, by table.

    Raises:
        StoreError: The lake cannot be read.
    """
    counts = {
        table: lake.rows_of(table, list(image_ids)).select(pl.len()).collect().item()
        for table in DERIVED
        if lake.version(table) is not None
    }
    return {table: n for table, n in counts.items() if n}


def reports_that_may_show(lake: Lake, image_ids: Collection[str]) -> list[str]:
    """Return the reports of runs that saw or decided images, or that were about the whole lake.

    Args:
        lake: Lake of the reports.
        image_ids: Ids of the images.

    Raises:
        StoreError: The lake cannot be read.
    """
    files = [file.name for file in lake.store.files(REPORTS) if file.name.endswith(".html")]
    if not files:
        return []
    ids = list(image_ids)
    runs = set()
    for table in ("decisions", "synthetics"):
        runs |= set(lake.rows_of(table, ids).select("run_id").collect()["run_id"])
    seen = lake.rows_of("sightings", ids).select(pl.col("batch_id").unique()).collect()
    batches = {None, *seen["batch_id"]}
    for run_id, params in lake.scan("runs").select("run_id", "params").collect().iter_rows():
        try:
            batch_id = json.loads(params).get("batch_id")
        except (ValueError, AttributeError):
            batch_id = None
        if batch_id in batches:
            runs.add(run_id)
    return [name for name in files if _run_of(name) in runs]


def _run_of(report: str) -> str:
    return report.rpartition("/")[2].removesuffix(".html").removesuffix("-evasion")


def _record(
    lake: Lake, image_ids: Collection[str], *, is_erased: bool, by: str, reason: str | None
) -> None:
    if not image_ids:
        return
    now = datetime.now(UTC)
    rows: list[Row] = [
        {"image_id": image_id, "is_erased": is_erased, "reason": reason, "by": by, "at": now}
        for image_id in sorted(image_ids)
    ]
    digest = hashlib.sha256("\n".join(sorted(image_ids)).encode()).hexdigest()[:32]
    lake.append(TABLE, rows, txn=f"forget:{'erased' if is_erased else 'requested'}:{digest}")


def _reject_items(lake: Lake, image_ids: Collection[str]) -> int:
    """Record the items of forgotten images as rejected, and return their number."""

    def once() -> int:
        version = lake.version("sightings")
        if version is None:
            return 0
        rows = _rejections(lake, image_ids, version)
        digest = hashlib.sha256(repr(sorted(image_ids)).encode()).hexdigest()[:32]
        # A run that looked at the table before must look again.
        lake.append("sightings", rows, txn=f"forget:{version}:{digest}", after=version)
        return len(rows)

    return retry_conflicts(once)


def _rejections(lake: Lake, image_ids: Collection[str], version: int) -> list[Row]:
    named = lake.rows_of("sightings", list(image_ids), version=version)
    items = named.select("batch_id", "source_uri").unique().collect()
    latest = (
        lake.rows_of("sightings", items["source_uri"], column="source_uri", version=version)
        .join(items.lazy(), on=["batch_id", "source_uri"], how="semi")
        .sort("seen_at")
        .unique(["batch_id", "source_uri"], keep="last", maintain_order=True)
        .filter(pl.col("image_id").is_in(list(image_ids)))
        .collect()
    )
    now = datetime.now(UTC)
    return [
        row
        | {
            "status": Status.REJECTED.value,
            "reason": Reason.FORGOTTEN.value,
            "detail": f"image {row['image_id']} was forgotten",
            "image_id": None,
            "seen_at": now + timedelta(microseconds=number),
        }
        for number, row in enumerate(latest.iter_rows(named=True))
    ]


def _remove_rows(lake: Lake, table: str, image_ids: Collection[str]) -> int:
    return retry_conflicts(lambda: remove_rows(lake.store, lake.tables, table, image_ids))


def _erase_shards(
    lake: Lake, image_ids: Collection[str], named: Mapping[str, Collection[str]]
) -> list[str]:
    """Remove the bytes of images from the shards that may have them, and return the shards.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.
        named: Shards that rows of `images` name, by image. An image without any may be in each
            shard; the others may also be in those that no row names, which a run that was killed
            leaves.
    """
    elsewhere = set(lake.scan("images").select(pl.col("shard").unique()).collect()["shard"])
    if all(image_id in named for image_id in image_ids):
        elsewhere -= {shard for shards_of_image in named.values() for shard in shards_of_image}
    else:
        elsewhere = set()
    done = []
    for file in lake.store.files(shards.FOLDER):
        name = PurePosixPath(file.name).name
        if name.startswith(TMP_PREFIX):
            # Its writer is dead, or names it under the lake's lock and then has to write it again.
            lake.store.delete(file.name)
            continue
        if not name.endswith(".parquet") or file.name in elsewhere:
            continue
        try:
            if has_bytes_of(lake.store, file.name, image_ids):
                erase_bytes(lake.store, file.name, image_ids)
                done.append(file.name)
        except FileNotFoundError:
            continue  # a sweep has just removed it
        except (OSError, pa.ArrowException) as error:
            raise cannot("erase images from", lake.path(file.name), error) from error
    return done


def _some(texts: list[str]) -> str:
    named = ", ".join(shorten(text, 64) for text in texts[:_NAMED])
    return f"{named}, ..." if len(texts) > _NAMED else named


def draw(done: Forgotten) -> str:
    """Return the result as text, one line per kind of trace, and what is not touched.

    Args:
        done: Result of forgetting images.
    """
    erased = done.erased
    n_rows = ", ".join(f"{table} {n:,}" for table, n in erased.rows.items())
    lines = [
        f"forgotten   {counted(len(done.image_ids), 'image')}"
        + (f", {done.n_before:,} of them before" if done.n_before else ""),
        f"rows        {n_rows or 'none left'}",
        f"bytes       in {counted(len(erased.shards), 'shard')}",
        f"history     {counted(len(erased.older_files), 'file')} of older versions",
        f"items       {erased.items:,} recorded as rejected: forgotten",
        f"reports     {len(erased.reports):,} deleted; assay report RUN_ID draws one again",
    ]
    if done.n_completed:
        lines.append(f"completed   {counted(done.n_completed, 'image')} of an interrupted call")
    lines += [
        "not touched published datasets, exports, back-ups, calibrations, and files that a repair"
        " moved to damaged/ in the lake"
    ]
    return "\n".join(lines)
