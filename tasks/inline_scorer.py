"""Scores of new images during ingest, from the same decoded image.

Images that a kill leaves without a score are found by `score.pending` and scored from the lake.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image

from ..data.images.limits import DAMAGE
from ..data.schema import Row
from ..data.score_key import ScoreKey
from ..data.store.lake import Lake
from ..data.vocabulary import Reason
from .detector.inputs.preprocess import preprocess_decoded
from .detector.streaming import Forwarded, Pixels, scored_as
from .latest_rows import Named
from .score import ScoreCounts, commit_rows, counts_of, judged, row_of

if TYPE_CHECKING:
    from .detector.detector import Detector


class InlineScorer:
    """Scorer of the images of one chunk that have no score yet, while they are ingested.

    `begin` is called first. `pixels_of` is called in threads while an image is open; `take` and
    `commit` are called in the thread of the pass. An image that exceeds the memory gets no row
    and stays pending, for the pass over stored images.

    Args:
        lake: Lake of the scores.
        load: Function that returns the detector, called when there is an image to read.
        key: Key of the scores.
        run_id: Id of the run, written to the rows.

    Attributes:
        counts: Counts of the rows committed so far.
    """

    def __init__(
        self, lake: Lake, load: Callable[[], Detector], key: ScoreKey, *, run_id: str
    ) -> None:
        self.counts = ScoreCounts()
        self._lake = lake
        self._load = load
        self._key = key
        self._run_id = run_id
        self._detector: Detector | None = None
        self._since: int | None = None
        self._rows: list[Row] = []
        self._taken: set[str] = set()
        self._taking = threading.Lock()

    def begin(self) -> Detector:
        """Load the detector, note the version of the scores, and return the detector."""
        self._detector = self._load()
        self._since = self._lake.version("scores")
        return self._detector

    @property
    def detector(self) -> Detector:
        """The loaded detector.

        Raises:
            RuntimeError: `begin` was not called.
        """
        if self._detector is None:
            raise RuntimeError("begin() was not called; call it to load the detector")
        return self._detector

    def pixels_of(self, image_id: str, image: Image.Image) -> Pixels | Reason | None:
        """Return the network's input, or the reason for having none.

        Args:
            image_id: Id of the image.
            image: Decoded image, which is not changed.

        Returns:
            Input of the network, or a `Reason`; None for an image that needs no score.
        """
        if not self._is_first(image_id) or self._is_judged(image_id):
            return None
        try:
            return preprocess_decoded(image, self.detector.profile)
        except MemoryError:
            return Reason.OUT_OF_MEMORY
        except DAMAGE:
            return Reason.UNREADABLE

    def take(self, image_id: str | None, forwarded: Forwarded) -> None:
        """Keep the result of an image until the image is committed.

        Args:
            image_id: Id of the image; None for a rejected item.
            forwarded: Result for the input that `pixels_of` returned.
        """
        if image_id and forwarded and forwarded is not Reason.OUT_OF_MEMORY:
            scored = scored_as(image_id, forwarded)
            self._rows.append(row_of(scored, self.detector, self._run_id))

    def commit(self) -> None:
        """Commit the scores of the images taken; these images must be in the lake.

        Raises:
            CommitConflict: Other writers won every attempt.
            StoreError: The lake cannot be read or written.
        """
        if self._rows:
            committed = commit_rows(
                self._lake, self._rows, self._key, self._run_id, since=self._since
            )
            self.counts += counts_of(committed)
            self._rows = []

    def _is_judged(self, image_id: str) -> bool:
        """Return whether the image had a score or a final failure when the chunk began."""
        if self._since is None or not self._lake.has_rows_of("scores", [image_id], self._since):
            return False
        rows = judged(self._lake, self._key, Named(ids=(image_id,)))
        return not rows.head(1).collect().is_empty()

    def _is_first(self, image_id: str) -> bool:
        """Return whether no earlier item of the chunk was the same image."""
        with self._taking:
            if image_id in self._taken:
                return False
            self._taken.add(image_id)
            return True
