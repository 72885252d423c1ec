"""From items to rows: read, inspect, tell the new from the known, store, and account for each.

The order of writing is what survives a kill: first the shard (nobody knows it yet), then
the `images` rows that name it, then the `sightings`. Whatever was cut off is done again by
the next run, which finds how far the last one came in the tables, and nowhere else.

For one `batch_id` and `source_uri`, the sighting that counts is the one last seen.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ..data.errors import StoreError, shorten
from ..data.images.inspect_image import ImageLimits
from ..data.schema import Reason, Status
from ..data.source_paths import path_of
from ..data.sources.find import Item, SourceOptions
from ..data.sources.labelling import unknown_label
from ..data.store.lake import Lake
from ..data.text.redaction import redact_url
from .reading import Along, outcomes_of
from .sightings import (
    Outcome,
    Sighting,
    asks_again,
    commit_outcomes,
    find_sightings,
    note_of,
)
from .work.stopping import hand_on

# What is read is committed once it is so large or so old, so that a kill loses little.
_MAX_VALUES = 100
FLUSH_BYTES = 128 * 2**20
FLUSH_EVERY_S = 60.0

# Rejections that may be otherwise next time although the item's fingerprint is not: the
# network is back, a permission was given, a flag was set.
_MAY_PASS = {
    Reason.BAD_ROW,
    Reason.BYTES_LOST,
    Reason.FETCH_FAILED,
    Reason.NOT_FOUND,
    Reason.NOT_MADE,
    Reason.NOT_PERMITTED,
    Reason.OUT_OF_MEMORY,
    Reason.UNSAFE_PATH,
    Reason.UNSAFE_URL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestCounts:
    """What became of items, by the sighting that counts: items = stored + duplicates + rejected.

    `unchanged` of them were known, and nothing was written for them; `n_bytes` were read now.
    `rejected_by` has the number of rejected items of each reason, `labels_not_taken` that of items
    whose source gives them a value that is no label, by value: at most 100 values, and those of
    all others under "".
    """

    items: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    unchanged: int = 0
    n_bytes: int = 0
    rejected_by: Mapping[str, int] = field(default_factory=dict, compare=False)
    labels_not_taken: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __add__(self, other: IngestCounts) -> IngestCounts:
        return IngestCounts(
            items=self.items + other.items,
            stored=self.stored + other.stored,
            duplicates=self.duplicates + other.duplicates,
            rejected=self.rejected + other.rejected,
            unchanged=self.unchanged + other.unchanged,
            n_bytes=self.n_bytes + other.n_bytes,
            rejected_by=_added(self.rejected_by, other.rejected_by),
            labels_not_taken=_added(self.labels_not_taken, other.labels_not_taken),
        )


def batch_id_of(sources: Sequence[str], options: SourceOptions) -> str:
    """The batch of a standing input: the same sources and filters always give the same id.

    Local paths are made absolute, so the folder one stands in does not matter; neither does
    the order of the sources. What only describes the items (labels, domains) is left out.

    Returns:
        "b-" and 16 hexadecimal digits.
    """
    canonical = {
        "sources": sorted({_absolute(source) for source in sources}),
        "include": sorted(set(options.include)),
        "exclude": sorted(set(options.exclude)),
        "image_column": options.image_column,
    }
    text = json.dumps(canonical, ensure_ascii=True, sort_keys=True)
    return f"b-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def chunks(items: Iterable[Item], *, max_items: int = 1000) -> Iterator[list[Item]]:
    """Consecutive lists of at most `max_items` items; takes from `items` only as it goes."""
    rest = iter(items)
    while part := list(islice(rest, max_items)):
        yield part


def ingest_chunk(
    lake: Lake,
    items: Sequence[Item],
    *,
    batch_id: str,
    run_id: str,
    chunk_index: int,
    options: SourceOptions,
    n_workers: int,
    on_item: Callable[[int], None] | None = None,
    along: Along | None = None,
) -> IngestCounts:
    """Bring items into the lake: one sighting each, and one image row per new content.

    Safe to repeat, in whole or after a kill: what is known is not read again. An item
    listed twice in the chunk is one item with one row, counted twice.

    Args:
        lake: Where to.
        items: At most some thousand; their bytes are read here.
        batch_id: See `batch_id_of`.
        run_id: The run that this is part of.
        chunk_index: Which chunk of the run this is.
        options: The sources' settings, with the limits on pictures.
        n_workers: Threads that decode. The outcome does not depend on it.
        on_item: Called with a number of items that are done being read, for a progress bar.
        along: What else is done with each picture while it is decoded.

    Returns:
        Counts over these items. Memory stays near 256 MiB of encoded pictures (half of them to
        be committed, half on their way) plus what `n_workers` pictures need to be decoded.

    Raises:
        StoreError: The lake cannot be read or written. Bad pictures raise nothing.
        BaseException: Whatever stops it, once what is read is committed; see `kept_of`.
    """
    tell = on_item or _ignore
    since = lake.version("sightings")
    known = find_sightings(lake, items, batch_id=batch_id)
    settled = {uri: seen for uri, seen in known.items() if _is_settled(seen, options.limits)}
    times = Counter(_key(item) for item in items)
    total = IngestCounts()
    to_read: list[Item] = []
    waiting: list[Outcome] = []
    in_lake: set[str] = set()
    for item in {_key(item): item for item in items}.values():
        before = known.get(item.source_uri)
        if item.problem is None and (asks_again(item) or item.source_uri not in settled):
            to_read.append(item)
            continue
        outcome = _without_reading(item, before)
        if before is not None and _is_unchanged(item, outcome, before):
            total += _unchanged(item, before, times[_key(item)])
        else:
            waiting.append(outcome)
        tell(times[_key(item)])

    def flush() -> IngestCounts:
        recorded = commit_outcomes(
            lake,
            waiting,
            batch_id=batch_id,
            run_id=run_id,
            chunk_index=chunk_index,
            since=since,
            is_said=lambda outcome, before: _is_unchanged(outcome.item, outcome, before),
        )
        counts = IngestCounts()
        for outcome, (status, is_new) in zip(waiting, recorded, strict=True):
            n_items = times[_key(outcome.item)]
            counts += _count(outcome.item, status, outcome.reason, n_items)
            counts += IngestCounts(unchanged=0 if is_new else n_items)
        in_lake.update(outcome.image_id for outcome in waiting if outcome.image_id)
        waiting.clear()
        if along is not None:
            along.stored(in_lake)
        return counts

    n_waiting_bytes, last_flush_s = 0, time.monotonic()
    try:
        for outcome in outcomes_of(
            to_read, options, n_workers=n_workers, along=along, known=settled
        ):
            item = outcome.item
            before = known.get(item.source_uri)
            total += IngestCounts(n_bytes=outcome.n_bytes)
            if before is not None and _is_unchanged(item, outcome, before):
                total += _unchanged(item, before, times[_key(item)])
                if before.image_id is not None:
                    in_lake.add(before.image_id)
            else:
                waiting.append(outcome)
                n_waiting_bytes += len(outcome.raw or b"")
            tell(times[_key(item)])
            if n_waiting_bytes >= FLUSH_BYTES or time.monotonic() - last_flush_s > FLUSH_EVERY_S:
                total += flush()
                n_waiting_bytes, last_flush_s = 0, time.monotonic()
        total += flush()
    except BaseException as error:
        # What was read is kept, whatever stops the rest; a store that refuses is not asked again.
        if not isinstance(error, StoreError):
            total += flush()
        hand_on(error, total)
        raise
    return total


def _is_settled(before: Sighting, limits: ImageLimits) -> bool:
    """Whether reading the item again could not tell anything new, unless it has changed."""
    allowed = {
        Reason.TOO_MANY_BYTES.value: limits.max_bytes,
        Reason.TOO_MANY_PIXELS.value: limits.max_pixels,
    }.get(before.reason or "")
    if allowed is not None:
        # The detail tells the limit of that day; where it does not, it is judged again.
        return re.search(rf"allowed: {allowed}\b", before.detail or "") is not None
    return before.reason not in _MAY_PASS


def _without_reading(item: Item, before: Sighting | None) -> Outcome:
    if item.problem is not None:
        reason, detail = item.problem
        return Outcome(item=item, reason=reason.value, detail=shorten(detail))
    if before is None:
        raise ValueError(f"{item.source_uri} was never seen and must be read")
    if before.image_id is not None:
        return Outcome(item=item, image_id=before.image_id)
    return Outcome(item=item, reason=before.reason, detail=before.detail)


def _is_unchanged(item: Item, outcome: Outcome, before: Sighting) -> bool:
    """Whether the sighting that counts says already what a new one would say."""
    rejection = before.reason if before.status is Status.REJECTED else None
    return (
        before.is_own
        and before.fingerprint == outcome.fingerprint
        and (before.image_id, rejection) == (outcome.image_id, outcome.reason)
        # An item that names no label or domain takes none back.
        and item.label in {None, before.label}
        and item.domain in {None, before.domain}
        and (rejection is not None or note_of(item) in {None, before.detail})
        # Why a picture was not made this time is what people look for to mend it.
        and (rejection != Reason.NOT_MADE or before.detail == outcome.detail)
    )


def _key(item: Item) -> tuple[str, str, str | None, str | None]:
    return item.source_uri, item.fingerprint, item.label, item.domain


def _added(some: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    if not some or not more:
        return some or more
    counts = Counter(some) + Counter(more)
    rest = counts.pop("", 0) + sum(n for _, n in counts.most_common()[_MAX_VALUES:])
    return dict(counts.most_common(_MAX_VALUES)) | ({"": rest} if rest else {})


def _unchanged(item: Item, before: Sighting, n_items: int) -> IngestCounts:
    return _count(item, before.status, before.reason, n_items) + IngestCounts(unchanged=n_items)


def _count(item: Item, status: Status, reason: str | None, n_items: int) -> IngestCounts:
    value = unknown_label(item.note)
    return IngestCounts(
        items=n_items,
        stored=n_items if status is Status.STORED else 0,
        duplicates=n_items if status is Status.DUPLICATE else 0,
        rejected=n_items if status is Status.REJECTED else 0,
        rejected_by={reason: n_items} if status is Status.REJECTED and reason else {},
        labels_not_taken={value: n_items} if value else {},
    )


def _absolute(source: str) -> str:
    # Not resolved: a link that is pointed elsewhere is still the same standing input.
    path = path_of(source)
    return redact_url(source) if path is None else path


def _ignore(_n_items: int) -> None:
    pass
