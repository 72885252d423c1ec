"""The repair of a damaged lake: restore what exists, record what is lost.

The steps: rebuild unreadable logs of tables from their data files, remove unreadable data files
from their tables, restore images from shards or from their sources, and record the rest as lost in
`sightings`. Damaged files are moved to `damaged/` in the lake; nothing is deleted.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from ...data.errors import AssayError, UnreadableImage
from ...data.images.inspect_image import ImageFacts, inspect_image
from ...data.images.limits import DEFAULT_LIMITS
from ...data.schema import TABLES, Row
from ...data.sources.find import SourceOptions, find_items, read_item
from ...data.store import shards
from ...data.store.journal.health import journal_health, save_journal
from ...data.store.journal.place import is_in_lake, journal_path
from ...data.store.lake import Lake
from ...data.store.parquet_reader import open_parquet
from ...data.store.shards import ShardImage, ShardPlace
from ...data.store.upkeep.table_repair import (
    files_of,
    read_without_checkpoints,
    rebuild_log,
    replace_files,
)
from ...data.store.upkeep.unmerge import files_before_merge
from ...data.text.wording import counted
from ...data.vocabulary import Reason, Status
from .check import check, check_table
from .findings import Health
from .forget import complete
from .known_images import unknown_images
from .stored_images import LOST, PLACE, lost_images, places_of, read_each, shard_problem

# Tables whose rows exist nowhere else: what people said, lineage, records of runs.
_NOT_MADE_AGAIN = {
    "reviews",
    "golden",
    "appeals",
    "synthetics",
    "runs",
    "known_hashes",
    "forgotten",
}

FLUSH_BYTES = 128 * 2**20


@dataclass(slots=True, kw_only=True)
class Repair:
    """The result of a repair.

    Attributes:
        lake: Address of the lake.
        done: Actions, one line each.
        lost: Losses, one line each.
        lost_images: Ids of the lost images.
        health: Result of a quick check after the repair.
    """

    lake: str
    done: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    lost_images: list[str] = field(default_factory=list)
    health: Health | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        values = asdict(self) | {"health": None}
        return values if self.health is None else values | {"health": self.health.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Restored:
    """An image that was found again: its facts, and the place of its bytes."""

    facts: ImageFacts
    place: ShardPlace


def repair(lake: Lake) -> Repair:
    """Repair a lake: restore what exists, and record what is lost.

    The repair reads every byte of the lake, and sources only for images whose bytes are not in it.

    Args:
        lake: Lake to repair.

    Raises:
        StoreError: The store does not answer.
    """
    report = Repair(lake=lake.uri)
    aside = f"damaged/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    with lake.writing():
        for table in TABLES:
            _mend_table(lake, table, aside, report)
        _mend_images(lake, aside, report)
        _mend_journal(lake, aside, report)
        _complete_forgetting(lake, report)
    report.health = check(lake)
    return report


def _mend_table(lake: Lake, table: str, aside: str, report: Repair) -> None:
    findings, _ = check_table(lake, table, deep=True)
    is_unreadable = any(finding.what == "table" for finding in findings)
    if is_unreadable and read_without_checkpoints(lake.store, lake.tables, table, aside=aside):
        report.done.append(f"{table}: damaged checkpoint of its log moved to {aside}/")
        findings, _ = check_table(lake, table, deep=True)
        is_unreadable = any(finding.what == "table" for finding in findings)
    if is_unreadable:
        n_rows, bad = rebuild_log(lake.store, lake.tables, table, aside=aside)
        report.done.append(
            f"{table}: log rebuilt from the data files, {counted(n_rows, 'row')};"
            " older versions are lost"
        )
        if bad:
            report.lost.append(f"{table}: {len(bad):,} unreadable data files, moved to {aside}/")
        return
    damaged = {finding.where for finding in findings}
    if not damaged:
        return
    opened = lake.tables.open(table)
    remove = [] if opened is None else files_of(table, opened)
    remove = [file for file in remove if file.name in damaged]
    put_back, n_kept = files_before_merge(lake.store, table, remove)
    replace_files(lake.store, lake.tables, table, remove=remove, rows=None, put_back=put_back)
    n_lost = sum(file.n_rows or 0 for file in remove) - n_kept
    report.done.append(f"{table}: {len(remove):,} damaged or missing files removed from the table")
    if put_back:
        report.done.append(
            f"{table}: {counted(len(put_back), 'file')} put back that they were merged from"
        )
    _set_aside(lake, [file.name for file in remove], aside, report)
    if table != "images" and n_lost:
        fate = (
            "exist nowhere else: restore the file from a backup if there is one"
            if table in _NOT_MADE_AGAIN
            else "the next run writes again"
        )
        report.lost.append(f"{table}: {counted(n_lost, 'row')} of damaged files, which {fate}")


def _complete_forgetting(lake: Lake, report: Repair) -> None:
    """Remove what is left of forgotten images, last, since other steps may have found it again."""
    erased = complete(lake)
    if erased is not None and (erased.rows or erased.shards or erased.older_files or erased.items):
        report.done.append(
            f"forgotten images: erased from {counted(len(erased.shards), 'shard')},"
            f" {counted(sum(erased.rows.values()), 'row')} and"
            f" {counted(len(erased.older_files), 'file')} of older"
            " versions"
        )


def _mend_journal(lake: Lake, aside: str, report: Repair) -> None:
    if journal_health(lake.store, deep=True).problem is None:
        return
    path = journal_path(lake.store)
    folder = Path(lake.path(aside)) if is_in_lake(lake.store) else path.parent / aside
    saved = save_journal(lake.store, folder)
    report.done.append(
        "journal of answers: made anew with"
        f" {counted(saved.n_answers, 'waiting answer')}; the damaged one"
        f" is in {folder}"
    )
    if not saved.is_complete:
        report.lost.append(
            "journal of answers: waiting answers that could not be read, which exist nowhere else:"
            " restore the file from a backup if there is one"
        )


def _mend_images(lake: Lake, aside: str, report: Repair) -> None:
    """Restore the images whose bytes or rows are missing, and record the rest as lost."""
    places = places_of(lake)
    bad, broken = _bad_images(lake, places)
    unknown = set().union(*unknown_images(lake, {}, without=frozenset(bad)).values())
    # Without any row in `images`, every image in the shards is restored.
    wanted = None if places.is_empty() else bad | unknown
    recovered: dict[str, _Restored] = {}
    for image in _in_shards(lake, places, wanted):
        recovered[image.facts.image_id] = image
    if recovered:
        report.done.append(f"images: {len(recovered):,} found in shards and recorded again")
    # Moved before sources are read, since a shard of the same images gets the same name.
    whole = {image.place.shard for image in recovered.values()}
    _set_aside(lake, set(broken) - whole, aside, report)
    missing = (bad | unknown) - set(recovered)
    reread = _from_sources(lake, missing) if missing else {}
    if reread:
        report.done.append(f"images: {len(reread):,} read again from their sources")
    recovered |= reread
    lost = missing - set(recovered)
    _record(lake, bad, recovered)
    if lost:
        n_items = _record_lost(lake, lost)
        report.lost_images = sorted(lost)
        report.lost.append(
            f"images: {len(lost):,} are in no shard and in no readable source;"
            f" {counted(n_items, 'item')}"
            " are recorded as bytes_lost and are read again once their source is available"
        )


def _set_aside(lake: Lake, names: Iterable[str], aside: str, report: Repair) -> None:
    """Move damaged files to a folder where they stay available for manual recovery."""
    for name in names:
        if lake.store.size(name) is not None:
            lake.store.move(name, f"{aside}/{name}")
            report.done.append(f"{name}: moved to {aside}/")


def _bad_images(lake: Lake, places: pl.DataFrame) -> tuple[set[str], list[str]]:
    """Return the ids of images with damaged bytes, and the shards without any intact image."""
    bad: set[str] = set()
    broken = []
    for (name,), rows in places.group_by("shard", maintain_order=True):
        shard = str(name)
        if shard_problem(lake, shard, rows) is not None:
            ids = set(rows["image_id"])
        else:
            ids = {image_id for image_id, raw in read_each(lake, rows) if raw is None}
        bad |= ids
        if len(ids) == rows.height and lake.store.size(shard) is not None:
            broken.append(shard)
    return bad, broken


def _in_shards(lake: Lake, places: pl.DataFrame, wanted: set[str] | None) -> Iterator[_Restored]:
    """Yield images found in shards at places that `images` does not name."""
    if wanted is not None and not wanted:
        return
    known = set(places.select(PLACE).iter_rows())
    done: set[str] = set()
    for file in lake.store.files(shards.FOLDER):
        if not file.name.endswith(".parquet"):
            continue
        try:
            with open_parquet(lake.store, file.name) as shard:
                rows = [
                    {"image_id": image_id, "shard": file.name, "row_group": group, "row": row}
                    for group, cells in enumerate(shard.groups(["image_id"]))
                    for row, image_id in enumerate(cells["image_id"].to_pylist())
                ]
        except (OSError, ValueError):
            continue
        rows = [
            row
            for row in rows
            if row["image_id"] not in done
            and (wanted is None or row["image_id"] in wanted)
            and tuple(row.values()) not in known
        ]
        by_id = {row["image_id"]: row for row in rows}
        for image_id, raw in read_each(lake, pl.DataFrame(rows, schema=places.schema)):
            if raw is None or image_id in done:
                continue
            facts = _facts(raw)
            if facts is not None:
                done.add(image_id)
                yield _Restored(facts=facts, place=ShardPlace(**by_id[image_id]))


def _facts(raw: bytes) -> ImageFacts | None:
    try:
        return inspect_image(raw, limits=DEFAULT_LIMITS)
    except UnreadableImage:
        return None


def _from_sources(lake: Lake, missing: set[str]) -> dict[str, _Restored]:
    """Read missing images again from their sources, and store those with the same bytes."""
    seen = (
        lake.scan("sightings")
        .filter(pl.col("image_id").is_in(list(missing)))
        .select("batch_id", "source_uri")
        .unique()
        .collect()
    )
    recovered: dict[str, _Restored] = {}
    waiting: list[tuple[ImageFacts, bytes]] = []

    def flush() -> None:
        images = [ShardImage(image_id=f.image_id, raw=r, format=f.format) for f, r in waiting]
        for (facts, _), place in zip(waiting, lake.write_shard(images), strict=True):
            recovered[facts.image_id] = _Restored(facts=facts, place=place)
        waiting.clear()

    stored: set[str] = set()
    for (batch_id,), rows in seen.group_by("batch_id", maintain_order=True):
        for raw in _read_again(lake, str(batch_id), set(rows["source_uri"])):
            image_id = hashlib.sha256(raw).hexdigest()
            facts = _facts(raw) if image_id in missing - stored else None
            if facts is not None:
                stored.add(image_id)
                waiting.append((facts, raw))
            if sum(len(raw) for _, raw in waiting) > FLUSH_BYTES:
                flush()
    if waiting:
        flush()
    return recovered


def _read_again(lake: Lake, batch_id: str, uris: set[str]) -> Iterator[bytes]:
    """Yield the bytes of items of a batch, listed with the settings of its latest runs."""
    for sources, options in chain(
        _recorded_sources(lake, batch_id), [(_named_by(uris), SourceOptions())]
    ):
        for source in sources:
            try:
                for item in find_items([source], options):
                    if item.source_uri in uris and item.problem is None:
                        try:
                            raw = read_item(item, options)
                        except UnreadableImage:
                            continue
                        uris.discard(item.source_uri)
                        yield raw
            except AssayError:
                continue  # a missing source does not prevent the others
        if not uris:
            return


def _named_by(uris: set[str]) -> list[str]:
    """Return the files, archives and URLs of items, for batches without the record of a run.

    The address of an item is the address of its file or archive, followed by `!` and its place in
    there.
    """
    sources = set()
    for uri in uris:
        scheme, _, rest = uri.partition("://")
        is_url = scheme in {"http", "https"}
        sources.add(uri if is_url else unquote(rest.partition("!")[0]))
    return sorted(sources)


def _recorded_sources(lake: Lake, batch_id: str) -> Iterator[tuple[list[str], SourceOptions]]:
    """Yield the sources and settings of the runs that ingested a batch, the latest first."""
    runs = lake.scan("runs").sort("started_at", descending=True).select("params").collect()
    done = set()
    for text in runs["params"]:
        try:
            params = json.loads(text)
        except ValueError:
            continue
        if params.get("batch_id") != batch_id or not params.get("sources"):
            continue
        names = ("include", "exclude", "image_column", "allow_private_urls", "roots")
        settings = {name: params[name] for name in names if params.get(name)}
        key = json.dumps([params["sources"], settings], sort_keys=True)
        if key in done:
            continue
        done.add(key)
        lists = {n: tuple(v) for n, v in settings.items() if isinstance(v, list)}
        yield list(params["sources"]), SourceOptions(**settings | lists)


def _record(lake: Lake, bad: set[str], recovered: dict[str, _Restored]) -> None:
    """Remove the rows of damaged images from `images`, and add those of the restored images."""
    opened = lake.tables.open("images")
    if opened is None and not recovered:
        return
    opened = opened or lake.tables.create("images")
    remove, kept = [], []
    for file in files_of("images", opened) if bad else []:
        raw = lake.store.read(file.name)
        rows = pl.read_parquet(raw or b"")
        if rows["image_id"].is_in(list(bad)).any():
            remove.append(file)
            kept += rows.filter(~pl.col("image_id").is_in(list(bad))).to_dicts()
    before = {row["image_id"]: row for row in _old_rows(lake, bad)}
    kept += [_row(image, before.get(image_id), lake) for image_id, image in recovered.items()]
    columns = TABLES["images"].names
    kept = [{name: row.get(name) for name in columns} for row in kept]
    if remove or kept:
        import pyarrow as pa

        rows_of_all = pa.Table.from_pylist(kept, schema=TABLES["images"]) if kept else None
        replace_files(lake.store, lake.tables, "images", remove=remove, rows=rows_of_all)


def _old_rows(lake: Lake, bad: set[str]) -> list[dict[str, Any]]:
    if not bad or lake.version("images") is None:
        return []
    return lake.scan("images").filter(pl.col("image_id").is_in(list(bad))).collect().to_dicts()


def _row(image: _Restored, before: dict[str, Any] | None, lake: Lake) -> Row:
    place = {"shard": image.place.shard, "row_group": image.place.row_group, "row": image.place.row}
    if before is not None:
        return before | place
    facts = {name: getattr(image.facts, name) for name in image.facts.__slots__}
    seen = _first_sighting(lake, image.facts.image_id)
    return facts | place | seen


def _first_sighting(lake: Lake, image_id: str) -> Row:
    if lake.version("sightings") is not None:
        rows = lake.scan("sightings").filter(image_id=image_id).sort("seen_at").head(1).collect()
        if rows.height:
            return {"batch_id": rows["batch_id"][0], "ingested_at": rows["seen_at"][0]}
    return {"batch_id": "repaired", "ingested_at": datetime.now(UTC)}


def _record_lost(lake: Lake, lost: set[str]) -> int:
    """Record the items of lost images as rejected, and return their number."""
    with lake.store.creating(LOST) as file:
        file.write(json.dumps(sorted(lost | lost_images(lake)), indent=0).encode())
    if lake.version("sightings") is None:
        return 0
    latest = (
        lake.scan("sightings")
        .sort("seen_at")
        .unique(["batch_id", "source_uri"], keep="last", maintain_order=True)
        .filter(pl.col("image_id").is_in(list(lost)))
        .collect()
    )
    now = datetime.now(UTC)
    rows = [
        row
        | {
            "status": Status.REJECTED.value,
            "reason": Reason.BYTES_LOST.value,
            "detail": f"image {row['image_id']} was stored, and its bytes are lost",
            "image_id": None,
            "seen_at": now + timedelta(microseconds=number),
        }
        for number, row in enumerate(latest.iter_rows(named=True))
    ]
    lake.append("sightings", rows, txn=f"repair:{secrets.token_hex(8)}")
    return len(rows)


def draw(report: Repair) -> str:
    """Return a repair as text, one line per action and loss.

    Args:
        report: Result of the repair.
    """
    lines = [f"done   {line}" for line in report.done]
    if not report.done and not report.lost:
        lines.append("done   nothing; no damage was found")
    lines += [f"lost   {line}" for line in report.lost]
    lines += [f"       image {image_id}" for image_id in report.lost_images[:20]]
    if len(report.lost_images) > 20:
        lines.append(f"       and {len(report.lost_images) - 20:,} more; --json lists all")
    health = report.health
    if health is not None:
        n_damage = len(health.damage)
        lines.append(
            f"now    {counted(n_damage, 'damage')};"
            f" {counted(health.images, 'image')} in {counted(health.shards, 'shard')}"
        )
    if report.done or report.lost:
        lines.append(
            "next   run the moderate command of each source and synth augment with each plan again;"
            " they complete what is missing"
        )
    return "\n".join(lines)
