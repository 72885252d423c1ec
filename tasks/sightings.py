"""Sightings of items: the lookup of earlier ones, and the commits of new images and sightings.

Two writers that both miss an image would both store it. On a local lake they take turns. On every
lake, each commit names the version of the table that it was checked against, so that the second
writer conflicts, reads the table again and finds the image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl

from ..data.errors import CommitConflict, StoreError
from ..data.schema import Row
from ..data.sources.items import Item
from ..data.store.erasure.erased_shard import erase_bytes
from ..data.store.lake import Lake
from ..data.store.shards import ShardAhead, ShardImage
from ..data.vocabulary import Reason, Status
from .append_missing import retry_conflicts
from .outcome import Outcome, Sighting, asks_again, note_of, refused


class Recorded(NamedTuple):
    """What was recorded of an outcome.

    Attributes:
        status: Status of the item.
        reason: Reason of a rejection or duplicate, else None.
        is_new: Whether its sighting was written by this call.
    """

    status: Status
    reason: str | None
    is_new: bool


def find_sightings(
    lake: Lake, items: Sequence[Item], *, batch_id: str, rows: pl.LazyFrame | None = None
) -> dict[str, Sighting]:
    """Return the current sighting of each item that is unchanged since, by source_uri.

    Args:
        lake: Lake of the sightings.
        items: Items to look up.
        batch_id: Id of the items' batch, whose own sightings win over those of other batches.
        rows: Rows of `sightings` to search; default: the whole table.

    Raises:
        StoreError: The lake cannot be read.
    """
    if not items or lake.version("sightings") is None:
        return {}
    wanted = pl.LazyFrame(
        {
            "source_uri": [item.source_uri for item in items],
            "fingerprint_now": [item.fingerprint for item in items],
            # The fingerprint of such an item is followed by the mark of its server.
            "beginning": [f"{item.fingerprint} " if asks_again(item) else None for item in items],
        },
        schema={
            "source_uri": pl.String,
            "fingerprint_now": pl.String,
            "beginning": pl.String,
        },
    ).unique()
    is_counting = pl.col("seen_at") == pl.col("seen_at").max().over("batch_id", "source_uri")
    if rows is None:
        uris = [item.source_uri for item in items]
        rows = lake.rows_of("sightings", uris, column="source_uri")
    sightings = (
        rows.join(wanted, on="source_uri", how="inner")
        .filter(is_counting)
        .filter(
            (pl.col("fingerprint") == pl.col("fingerprint_now"))
            | pl.col("fingerprint").str.starts_with(pl.col("beginning")).fill_null(value=False)
        )
        .with_columns(is_own=pl.col("batch_id") == batch_id)
        .sort("is_own", "seen_at")
        .unique("source_uri", keep="last", maintain_order=True)
        .select(Sighting.__dataclass_fields__.keys())
        .collect()
    )
    return {
        row["source_uri"]: Sighting(**row | {"status": Status(row["status"])})
        for row in sightings.iter_rows(named=True)
    }


def commit_outcomes(
    lake: Lake,
    outcomes: Sequence[Outcome],
    *,
    batch_id: str,
    run_id: str,
    chunk_index: int,
    since: int | None = None,
    is_recorded: Callable[[Outcome, Sighting], bool] | None = None,
    ahead: ShardAhead | None = None,
) -> list[Recorded]:
    """Store the new images among the outcomes, and append one sighting per outcome, in order.

    Forgotten images are rejected, also one that is forgotten while this call is at work.

    Args:
        lake: Lake to write to.
        outcomes: Outcomes of items.
        batch_id: Id of the items' batch.
        run_id: Id of the run.
        chunk_index: Index of the chunk in the run.
        since: Version of `sightings` at which the items were looked up.
        is_recorded: Predicate that a sighting committed since equals the one to write; no row is
            written then, since another run has recorded the item.
        ahead: Shard to which the images of the outcomes were added in order, each once.

    Returns:
        What was recorded, per outcome.

    Raises:
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written.
    """

    def once() -> list[Recorded]:
        with lake.writing():
            return _commit(
                lake,
                outcomes,
                batch_id=batch_id,
                txn=f"{run_id}:{chunk_index}",
                since=since,
                is_recorded=is_recorded or _never,
                ahead=ahead,
            )

    return retry_conflicts(once) if outcomes else []


def _never(_outcome: Outcome, _before: Sighting) -> bool:
    return False


def _commit(
    lake: Lake,
    outcomes: Sequence[Outcome],
    *,
    batch_id: str,
    txn: str,
    since: int | None,
    is_recorded: Callable[[Outcome, Sighting], bool],
    ahead: ShardAhead | None,
) -> list[Recorded]:
    images_version = lake.version("images")
    sightings_version = lake.version("sightings")
    # Read after the versions: a forgetting that begins later makes the commits below conflict.
    forgotten = lake.tombstones.ids()
    outcomes = [refused(one) if one.image_id in forgotten else one for one in outcomes]
    sightings_since: dict[str, Sighting] = {}
    if sightings_version != since:
        items = [outcome.item for outcome in outcomes]
        rows_since = lake.added("sightings", since, sightings_version)
        sightings_since = find_sightings(lake, items, batch_id=batch_id, rows=rows_since)
    ids = sorted({o.image_id for o in outcomes if o.image_id is not None})
    stored = (
        lake.has_rows_of("images", ids, images_version)
        if ids and images_version is not None
        else set()
    )
    lost = next(
        (o for o in outcomes if o.image_id and o.raw is None and o.image_id not in stored), None
    )
    if lost is not None:
        raise StoreError(
            f"{lake.uri} has sightings of image {lost.image_id} but not the image (latest source:"
            f" {lost.item.source_uri}); restore it with: assay lake repair --lake {lake.uri}"
        )
    owners = _owners(lake, sorted(stored), version=sightings_version)

    new: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.image_id is not None and outcome.image_id not in stored:
            new.setdefault(outcome.image_id, outcome)
    now = datetime.now(UTC)
    after = images_version or 0
    _store(lake, list(new.values()), batch_id=batch_id, now=now, after=after, ahead=ahead)

    rows: list[Row] = []
    recorded: list[Recorded] = []
    for number, outcome in enumerate(outcomes):
        before = sightings_since.get(outcome.item.source_uri)
        if before is not None and is_recorded(outcome, before):
            recorded.append(Recorded(before.status, before.reason, is_new=False))
            continue
        key = (batch_id, outcome.item.source_uri)
        # The first recorded item owns the image, also if a killed run had stored the image
        # without recording the item, and if the same item is recorded again.
        if outcome.image_id is None:
            status, reason = Status.REJECTED, outcome.reason
        elif key in owners.setdefault(outcome.image_id, {key}):
            status, reason = Status.STORED, None
        else:
            status, reason = Status.DUPLICATE, Reason.SAME_BYTES.value
        recorded.append(Recorded(status, reason, is_new=True))
        rows.append(
            {
                "batch_id": batch_id,
                "source_uri": outcome.item.source_uri,
                "status": status.value,
                "reason": reason,
                "detail": outcome.detail or note_of(outcome.item),
                "image_id": outcome.image_id,
                "domain": outcome.item.domain,
                "label": outcome.item.label,
                "fingerprint": outcome.fingerprint,
                # One microsecond apart, so that the order of rows is that of their times.
                "seen_at": now + timedelta(microseconds=number),
            }
        )
    # The content is part of the name: a chunk repeated after a kill has other rows left, which
    # must not be taken for those of the first attempt.
    digest = _digest(repr([value for row in rows for value in list(row.values())[:-1]]))
    lake.append("sightings", rows, txn=f"sightings:{txn}:{digest}", after=sightings_version or 0)
    return recorded


def _store(
    lake: Lake,
    new: Sequence[Outcome],
    *,
    batch_id: str,
    now: datetime,
    after: int,
    ahead: ShardAhead | None,
) -> None:
    pairs = [(o.facts, o.raw) for o in new if o.facts is not None and o.raw is not None]
    if not pairs:
        return
    places = lake.write_shard(
        [ShardImage(image_id=f.image_id, raw=raw, format=f.format) for f, raw in pairs], ahead
    )
    rows: list[Row] = [
        {
            "image_id": facts.image_id,
            "shard": place.shard,
            "row_group": place.row_group,
            "row": place.row,
            "n_bytes": facts.n_bytes,
            "format": facts.format,
            "mode": facts.mode,
            "width_px": facts.width_px,
            "height_px": facts.height_px,
            "n_frames": facts.n_frames,
            "phash": facts.phash,
            "phash_of": facts.phash_of,
            "jpeg_quality": facts.jpeg_quality,
            "capture": facts.capture,
            "ai_declared": facts.ai_declared,
            "doubt": facts.doubt,
            "batch_id": batch_id,
            "ingested_at": now,
        }
        for (facts, _), place in zip(pairs, places, strict=True)
    ]
    digest = _digest("\n".join(row["image_id"] for row in rows))
    # The version is part of the name: images that were lost and return are another commit.
    try:
        lake.append("images", rows, txn=f"images:{after}:{digest}", after=after)
    except CommitConflict:
        # Without a lock, as in an object store, an image may have been forgotten after the look.
        if forgotten := lake.tombstones.ids() & {row["image_id"] for row in rows}:
            for shard in {place.shard for place in places}:
                erase_bytes(lake.store, shard, forgotten)
        raise


def _owners(
    lake: Lake, ids: Sequence[str], *, version: int | None
) -> dict[str, set[tuple[str, str]]]:
    """Return the batch_id and source_uri of the `stored` sightings per image."""
    if not ids or version is None:
        return {}
    sightings = (
        lake.rows_of("sightings", ids, version=version)
        .filter(pl.col("status") == Status.STORED.value)
        .select("image_id", "batch_id", "source_uri")
        .collect()
    )
    owners: dict[str, set[tuple[str, str]]] = {}
    for image_id, batch_id, source_uri in sightings.iter_rows():
        owners.setdefault(image_id, set()).add((batch_id, source_uri))
    return owners


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
