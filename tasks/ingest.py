"""The pass from items to rows and scores.

    item -> bytes -> decoded image -> facts ----------> shard, images, sightings
                                   -> pixels, network -> scores

Each image is decoded once; ingest takes its facts, an inline scorer the input of the network, and
an inline measurer the measures of its pixels. Results arrive in the order of the items and are
committed by size or by age. The bytes of new images are written to a shard meanwhile.

The order of writes makes a kill harmless: first the shard, which no row names yet, then the
`images` rows that name it, then the `sightings`, then the `scores` and measures. The next run
repeats what is missing; the tables are the only record of progress.

For one `batch_id` and `source_uri`, the latest sighting counts.
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
from ..data.sources.items import Item, SourceOptions
from ..data.store.lake import Lake
from ..data.store.shards import ShardAhead, ShardImage
from ..data.vocabulary import Reason
from .detector.streaming import Forwarded, Pixels, forward_stream
from .ingest_counts import IngestCounts, count_item
from .inline_scorer import InlineScorer
from .known_items import is_settled, is_unchanged, without_reading
from .measures.inline_measurer import InlineMeasurer
from .outcome import Outcome, Sighting, asks_again, rejected
from .reading import Reader
from .sightings import commit_outcomes, find_sightings
from .work.ordered_map import ordered_map
from .work.stopping import hand_on
from .work.workers import workers

# Bounds on what waits for a commit, and so on what a kill can lose.
FLUSH_BYTES = 128 * 2**20
FLUSH_EVERY_S = 60.0

# Images per thread that are handed out to be decoded, so that threads decode during a commit, whose
# duration is that of about a hundred images.
DECODED_AHEAD: Final = 64

# Threads that wait for disks and servers; they use hardly any CPU.
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
    measurer: InlineMeasurer | None = None,
) -> IngestCounts:
    """Ingest items: append one sighting per item, and store one image per new content.

    The call can be repeated, in whole or after a kill: items already in the lake are not read
    again. An item that the chunk lists twice gets one row and is counted twice.

    Memory stays near 256 MiB of encoded images, half of them waiting for a commit and half in
    progress, plus what decoding `n_workers` images needs.

    Args:
        lake: Lake to write to.
        items: Items of the chunk, at most a few thousand; their bytes are read here.
        batch_id: Id of the items' batch; see `batch_id_of`.
        run_id: Id of the run.
        chunk_index: Index of the chunk in the run.
        options: Settings of the sources, with the limits on images.
        n_workers: Number of threads that decode and, on a CPU, run the network. Results do not
            depend on it.
        on_item: Callback with the number of items finished since its last call.
        scorer: Scorer of new images while they are open; its `counts` hold the results.
        measurer: Measurer of new images while they are open.

    Returns:
        Counts over the items.

    Raises:
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written. Bad images raise nothing.
        BaseException: Any other error, after a commit of the items read; see `kept_of`.
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
        measurer=measurer,
    )

    to_read: list[Item] = []
    for item in {_key(item): item for item in items}.values():
        if item.problem is None and (asks_again(item) or item.source_uri not in settled):
            to_read.append(item)
        else:
            chunk.take(without_reading(item, known.get(item.source_uri)))
            on_item(chunk.n_times[_key(item)])

    forgotten = lake.tombstones.ids()
    reader = Reader(options, settled)
    try:
        with closing(_images(to_read, reader, options, scorer, measurer, n_workers)) as images:
            for outcome, forwarded in images:
                chunk.take(outcome)
                if outcome.image_id not in forgotten:
                    if scorer is not None:
                        scorer.take(outcome.image_id, forwarded)
                    if measurer is not None:
                        measurer.take(outcome.image_id)
                on_item(chunk.n_times[_key(outcome.item)])
                if chunk.is_due:
                    chunk.commit()
        chunk.commit()
    except BaseException as error:
        # Items that were read are kept whatever stops the rest, unless the store itself fails.
        if not isinstance(error, StoreError):
            chunk.commit()
        hand_on(error, chunk.counts, *([] if scorer is None else [scorer.counts]))
        raise
    finally:
        chunk.close()
    return chunk.counts


def _images(
    items: Sequence[Item],
    reader: Reader,
    options: SourceOptions,
    scorer: InlineScorer | None,
    measurer: InlineMeasurer | None,
    n_workers: int,
) -> Generator[tuple[Outcome, Forwarded], None, None]:
    """Read and decode items and score their images; yield results in the order of the items.

    Separate threads read a few items ahead, fewer if the items are large. The threads that decode
    also run the network on a CPU; see `streaming`.
    """
    if not items:
        return

    def decode(read: Outcome) -> tuple[Outcome, Pixels | Reason | None]:
        if read.raw is None:
            return read, None
        try:
            with inspected(read.raw, limits=options.limits) as (facts, image):
                pixels = None if scorer is None else scorer.pixels_of(facts.image_id, image)
                if measurer is not None:
                    measurer.measure(facts.image_id, image)
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
                n_ahead=DECODED_AHEAD * n_workers,
                weigh_job=_n_held_bytes,
            ):
                yield outcome, None


@dataclass(slots=True, kw_only=True)
class _Chunk:
    """Outcomes of a chunk's items: counts, and what waits for the next commit.

    Attributes:
        since: Version of `sightings` at which `known` was looked up.
        known: Current sightings of the items by source_uri.
        n_times: Number of times that the chunk lists each item.
        counts: Counts of the items that are committed or need no commit.
        waiting: Outcomes that wait for the next commit.
        n_waiting_bytes: Encoded bytes of the waiting outcomes.
        last_commit_s: Time of the last commit on the monotonic clock.
        ahead: Shard to which the images of the waiting outcomes are written meanwhile.
        ahead_ids: Ids of these images.
    """

    lake: Lake
    batch_id: str
    run_id: str
    index: int
    since: int | None
    known: Mapping[str, Sighting]
    n_times: Mapping[_Key, int]
    scorer: InlineScorer | None
    measurer: InlineMeasurer | None
    counts: IngestCounts = field(default_factory=IngestCounts)
    waiting: list[Outcome] = field(default_factory=list)
    n_waiting_bytes: int = 0
    last_commit_s: float = field(default_factory=time.monotonic)
    ahead: ShardAhead | None = None
    ahead_ids: set[str] = field(default_factory=set)

    def take(self, outcome: Outcome) -> None:
        """Count an item whose sighting stays the same; queue any other for the next commit."""
        item = outcome.item
        before = self.known.get(item.source_uri)
        if outcome.n_bytes:
            self.counts += IngestCounts(n_bytes=outcome.n_bytes)
        if before is None or not is_unchanged(item, outcome, before):
            self.waiting.append(outcome)
            self.n_waiting_bytes += _n_held_bytes(outcome)
            self._write_ahead(outcome)
        else:
            n_items = self.n_times[_key(item)]
            self.counts += count_item(item, before.status, before.reason, n_items, is_new=False)

    @property
    def is_due(self) -> bool:
        """Whether the waiting outcomes are large or old enough for a commit."""
        return (
            self.n_waiting_bytes >= FLUSH_BYTES
            or time.monotonic() - self.last_commit_s > FLUSH_EVERY_S
        )

    def commit(self) -> None:
        """Store the waiting images, then append the sightings, then scores and measures."""
        recorded = commit_outcomes(
            self.lake,
            self.waiting,
            batch_id=self.batch_id,
            run_id=self.run_id,
            chunk_index=self.index,
            since=self.since,
            is_recorded=lambda outcome, before: is_unchanged(outcome.item, outcome, before),
            ahead=self.ahead,
        )
        self.close()
        counts = self.counts
        for outcome, made in zip(self.waiting, recorded, strict=True):
            n_items = self.n_times[_key(outcome.item)]
            counts += count_item(
                outcome.item, made.status, made.reason, n_items, is_new=made.is_new
            )
        self.waiting.clear()
        self.counts = counts
        if self.scorer is not None:
            self.scorer.commit()
        if self.measurer is not None:
            self.measurer.commit()
        self.n_waiting_bytes, self.last_commit_s = 0, time.monotonic()

    def close(self) -> None:
        """Discard the shard that is written ahead, unless a commit has completed it."""
        if self.ahead is not None:
            self.ahead.close()
        self.ahead = None
        self.ahead_ids.clear()

    def _write_ahead(self, outcome: Outcome) -> None:
        """Pass a new image to the thread that writes the shard, so that a commit is short."""
        facts, raw = outcome.facts, outcome.raw
        if facts is None or raw is None or facts.image_id in self.ahead_ids:
            return
        self.ahead = self.ahead or self.lake.shard_ahead()
        self.ahead.add(ShardImage(image_id=facts.image_id, raw=raw, format=facts.format))
        self.ahead_ids.add(facts.image_id)


def _key(item: Item) -> _Key:
    return item.source_uri, item.fingerprint, item.label, item.domain


def _n_held_bytes(outcome: Outcome) -> int:
    """Return the number of encoded bytes that an outcome keeps in memory until its commit."""
    return len(outcome.raw or b"")


def _ignore(_n_items: int) -> None:
    pass
