"""Scores made while pictures are ingested, from the one decode that both need.

The order of commits is that of two steps: first the images and sightings, then their scores.
What a kill leaves without a score is found by `score.pending` and scored from the lake.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from ..data.images.limits import DAMAGE
from ..data.schema import Reason, Row
from ..data.score_key import ScoreKey
from ..data.store.lake import Lake
from .detector.inputs.preprocess import preprocess_decoded
from .detector.streaming import Pixels, forward_stream, scored_as
from .reading import Inspect, n_held_bytes
from .score import ScoreCounts, commit_rows, counts_of, judged, row_of
from .sightings import Outcome

if TYPE_CHECKING:
    from .detector.detector import Detector

HEX_DIGITS = 16  # of an image_id, that fit 64 bits


class ScoreAlong:
    """Scores what `ingest.ingest_chunk` decodes and this detector has not judged.

    One serves one chunk. A picture for which memory does not suffice gets no row here: it stays
    pending, for a pass over what is stored.

    Args:
        lake: Where the scores go.
        load: Gives the detector; called when there is something to read.
        key: What its rows are known by.
        run_id: Written to the rows.
        n_workers: Threads that decode and, on a CPU, run the network.

    Attributes:
        counts: Of the rows committed so far.
    """

    def __init__(
        self,
        lake: Lake,
        load: Callable[[], Detector],
        key: ScoreKey,
        *,
        run_id: str,
        n_workers: int | None = None,
    ) -> None:
        self.counts = ScoreCounts()
        self._lake = lake
        self._load = load
        self._key = key
        self._run_id = run_id
        self._n_workers = n_workers
        self._since: int | None = None
        self._rows: list[Row] = []
        self._taken: set[str] = set()
        self._taking = threading.Lock()

    def through(self, reads: Iterable[Outcome], inspect: Inspect) -> Iterator[Outcome]:
        """Decodes and scores; see `reading.Along`."""
        detector = self._load()
        self._since = self._lake.version("scores")
        known = _prefixes_judged(self._lake, self._key)

        def use(image_id: str, image: Image.Image) -> Pixels | Reason | None:
            if _is_among(image_id, known) or not self._take(image_id):
                return None
            try:
                return preprocess_decoded(image, detector.profile)
            except MemoryError:
                return Reason.OUT_OF_MEMORY
            except DAMAGE:
                return Reason.UNREADABLE

        def prepare(read: Outcome) -> tuple[Outcome, Pixels | Reason | None]:
            return inspect(read, use)

        for part in forward_stream(
            detector, reads, prepare, n_workers=self._n_workers, weigh=n_held_bytes
        ):
            for outcome, found in part:
                if outcome.image_id and found and found is not Reason.OUT_OF_MEMORY:
                    scored = scored_as(outcome.image_id, found)
                    self._rows.append(row_of(scored, detector, self._run_id))
                yield outcome

    def stored(self, image_ids: Collection[str]) -> None:
        """Commits the scores of these images; others wait until theirs are in the lake."""
        rows = [row for row in self._rows if row["image_id"] in image_ids]
        if not rows:
            return
        committed = commit_rows(self._lake, rows, self._key, self._run_id, since=self._since)
        self.counts += counts_of(committed)
        self._rows = [row for row in self._rows if row["image_id"] not in image_ids]

    def _take(self, image_id: str) -> bool:
        """Whether no other item of the chunk was the same picture so far."""
        with self._taking:
            if image_id in self._taken:
                return False
            self._taken.add(image_id)
            return True


def _prefixes_judged(lake: Lake, key: ScoreKey) -> NDArray[np.uint64]:
    """The first 64 bits of each image_id that has a score, sorted: 8 bytes an image.

    Two images of the same 64 bits would make the second one wait for the pass over what is
    stored, which compares whole ids.
    """
    prefix = pl.col("image_id").str.head(HEX_DIGITS).str.to_integer(base=16, dtype=pl.UInt64)
    found = judged(lake, key).select(prefix.unique().sort()).collect(engine="streaming")
    return found.to_series().to_numpy()


def _is_among(image_id: str, prefixes: NDArray[np.uint64]) -> bool:
    prefix = np.uint64(int(image_id[:HEX_DIGITS], 16))
    place = int(np.searchsorted(prefixes, prefix))
    return place < len(prefixes) and bool(prefixes[place] == prefix)
