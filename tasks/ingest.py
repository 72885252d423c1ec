"""The pass from items to rows and scores, in the order in which it happens.

    item -> bytes -> decoded image -> facts ----------> shard, images, sightings
                                   -> pixels, network -> scores

Each image is decoded once. While it is open, both who want something of it take their part: ingest
its facts, and the scorer, where there is one, the network's input. Results arrive in the order of
the items, and are committed once they are so large or so old.

The order of writing is what survives a kill: first the shard (nobody knows it yet), then the
`images` rows that name it, then the `sightings`, then the `scores`. Whatever was cut off is done
again by the next run, which finds how far the last one came in the tables, and nowhere else.

For one `batch_id` and `source_uri`, the sighting that counts is the one last seen.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final

from ..data.errors import StoreError
from ..data.images.inspect_image import inspected
from ..data.schema import Reason
from ..data.sources.items import Item, SourceOptions
from ..data.store.lake import Lake
from .detector.streaming import Forwarded, Pixels, forward_stream
from .ingest_counts import IngestCounts, count_item
from .inline_scorer import InlineScorer
from .known_items import is_settled, is_unchanged, without_reading
from .outcome import Outcome, Sighting, asks_again, rejected
from .reading import Reader
from .sightings import commit_outcomes, find_sightings
from .work.ordered_map import ordered_map
from .work.stopping import hand_on
from .work.workers import workers

# What is read is committed once it is so large or so old, so that a kill loses little.
FLUSH_BYTES = 128 * 2**20
FLUSH_EVERY_S = 60.0

# Threads that wait for disks and servers; they take next to no CPU.
N_READERS: Final = 8

_Key = tuple[str, str, str | None, str | None]


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
    scorer: InlineScorer | None = None,
) -> IngestCounts:
    """Bring items into the lake: one sighting each, and one image row per new content.

    Safe to repeat, in whole or after a kill: what is known is not read again. An item
    listed twice in the chunk is one item with one row, counted twice.

    Args:
        lake: Lake to bring them into.
        items: Items, at most some thousand; their bytes are read here.
        batch_id: Id of their batch; see `batch_id_of`.
        run_id: Id of the run that this is part of.
        chunk_index: Index of the chunk in the run.
        options: Settings of the sources, with the limits on images.
        n_workers: Threads that decode and, on a CPU, run the network. The outcome does not depend
            on it.
        on_item: Function that is called with a number of items that are done being read.
        scorer: Scorer of each new image while it is decoded; its `counts` say what came of it.

    Returns:
        Counts over these items. Memory stays near 256 MiB of encoded images (half of them to
        be committed, half on their way) plus what `n_workers` images need to be decoded.

    Raises:
        StoreError: The lake cannot be read or written. Bad images raise nothing.
        BaseException: Whatever stops it, once what is read is committed; see `kept_of`.
    """
    on_item = on_item or _ignore
    since = lake.version("sightings")
    known = find_sightings(lake, items, batch_id=batch_id)
    settled = {uri: seen for uri, seen in known.items() if is_settled(seen, options.limits)}
    chunk = _Chunk(
        lake=lake,
        batch_id=batch_id,
        run_id=run_id,
        index=chunk_index,
        since=since,
        known=known,
        n_times=Counter(_key(item) for item in items),
        scorer=scorer,
    )

    to_read: list[Item] = []
    for item in {_key(item): item for item in items}.values():
        if item.problem is None and (asks_again(item) or item.source_uri not in settled):
            to_read.append(item)
        else:
            chunk.take(without_reading(item, known.get(item.source_uri)))
            on_item(chunk.n_times[_key(item)])

    reader = Reader(options, settled)
    try:
        with closing(_images(to_read, reader, options, scorer, n_workers)) as images:
            for outcome, forwarded in images:
                chunk.take(outcome)
                if scorer is not None:
                    scorer.take(outcome.image_id, forwarded)
                on_item(chunk.n_times[_key(outcome.item)])
                if chunk.is_due:
                    chunk.commit()
        chunk.commit()
    except BaseException as error:
        # What was read is kept, whatever stops the rest; a store that refuses is not asked again.
        if not isinstance(error, StoreError):
            chunk.commit()
        hand_on(error, chunk.counts, *([] if scorer is None else [scorer.counts]))
        raise
    return chunk.counts


def _images(
    items: Sequence[Item],
    reader: Reader,
    options: SourceOptions,
    scorer: InlineScorer | None,
    n_workers: int,
) -> Generator[tuple[Outcome, Forwarded], None, None]:
    """Read and decode items and score their images; results in the items' order.

    Bytes are read in threads of their own, which wait for disks and servers, and few items ahead:
    fewer where what waits is large. The threads that decode also run the network on a CPU; see
    `streaming`.
    """
    if not items:
        return

    def decode(read: Outcome) -> tuple[Outcome, Pixels | Reason | None]:
        if read.raw is None:
            return read, None
        try:
            with inspected(read.raw, limits=options.limits) as (facts, image):
                pixels = None if scorer is None else scorer.pixels_of(facts.image_id, image)
        except Exception as error:  # noqa: BLE001 - the row boundary: one image never stops a run
            return rejected(read.item, error, n_bytes=read.n_bytes, mark=read.mark), None
        return replace(read, image_id=facts.image_id, facts=facts), pixels

    with (
        workers(N_READERS, "assay-read") as readers,
        closing(
            ordered_map(readers, reader.read, items, n_ahead=2 * N_READERS, weigh=_n_held_bytes)
        ) as reads,
    ):
        if scorer is not None:
            for part in forward_stream(
                scorer.begin(), reads, decode, n_workers=n_workers, weigh=_n_held_bytes
            ):
                yield from part
            return
        n_workers = max(1, n_workers)
        with workers(n_workers, "assay-ingest") as pool:
            for outcome in ordered_map(
                pool,
                lambda read: decode(read)[0],
                reads,
                n_ahead=4 * n_workers,
                weigh=_n_held_bytes,
            ):
                yield outcome, None


@dataclass(slots=True, kw_only=True)
class _Chunk:
    """What became of the chunk's items: counted, and waiting for the next commit.

    Attributes:
        since: Version of `sightings` at which `known` was looked up.
        known: By source_uri, how items were last accounted for.
        n_times: How often each item is listed.
        counts: Counts of what needs no commit or is committed.
    """

    lake: Lake
    batch_id: str
    run_id: str
    index: int
    since: int | None
    known: Mapping[str, Sighting]
    n_times: Mapping[_Key, int]
    scorer: InlineScorer | None
    counts: IngestCounts = field(default_factory=IngestCounts)
    waiting: list[Outcome] = field(default_factory=list)
    n_waiting_bytes: int = 0
    last_commit_s: float = field(default_factory=time.monotonic)

    def take(self, outcome: Outcome) -> None:
        """Count an item whose sighting stands; let any other wait for the next commit."""
        item = outcome.item
        before = self.known.get(item.source_uri)
        if outcome.n_bytes:
            self.counts += IngestCounts(n_bytes=outcome.n_bytes)
        if before is None or not is_unchanged(item, outcome, before):
            self.waiting.append(outcome)
            self.n_waiting_bytes += _n_held_bytes(outcome)
        else:
            n_items = self.n_times[_key(item)]
            self.counts += count_item(item, before.status, before.reason, n_items, is_new=False)

    @property
    def is_due(self) -> bool:
        """Whether what waits is so large or so old that it is to be committed."""
        return (
            self.n_waiting_bytes >= FLUSH_BYTES
            or time.monotonic() - self.last_commit_s > FLUSH_EVERY_S
        )

    def commit(self) -> None:
        """Store the images that wait, record the sightings, and then the scores."""
        recorded = commit_outcomes(
            self.lake,
            self.waiting,
            batch_id=self.batch_id,
            run_id=self.run_id,
            chunk_index=self.index,
            since=self.since,
            is_said=lambda outcome, before: is_unchanged(outcome.item, outcome, before),
        )
        counts = self.counts
        for outcome, (status, is_new) in zip(self.waiting, recorded, strict=True):
            n_items = self.n_times[_key(outcome.item)]
            counts += count_item(outcome.item, status, outcome.reason, n_items, is_new=is_new)
        self.waiting.clear()
        self.counts = counts
        if self.scorer is not None:
            self.scorer.commit()
        self.n_waiting_bytes, self.last_commit_s = 0, time.monotonic()


def _key(item: Item) -> _Key:
    return item.source_uri, item.fingerprint, item.label, item.domain


def _n_held_bytes(outcome: Outcome) -> int:
    """Return the bytes that an outcome holds on to until it is committed."""
    return len(outcome.raw or b"")


def _ignore(_n_items: int) -> None:
    pass
