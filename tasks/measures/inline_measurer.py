"""Measures of new images during ingest, from the same decoded image.

Images that are left without measures, as by a kill, are found by `unmeasured` and measured from the
lake.
"""

from __future__ import annotations

import threading

from PIL import Image

from ...data.images.limits import DAMAGE
from ...data.images.pixel_facts import facts_of_decoded
from ...data.schema import Row
from ...data.store.lake import Lake
from .measures import TABLE, commit_measures, measured


class InlineMeasurer:
    """Measurer of the images of one chunk that have no measures yet, while they are ingested.

    `measure` is called in threads while an image is open; `take` and `commit` are called in the
    thread of the pass. An image that cannot be measured stays pending, for the pass over stored
    images.

    Args:
        lake: Lake of the measures.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._since = lake.version(TABLE)
        self._begun: set[str] = set()
        self._beginning = threading.Lock()
        self._measured: dict[str, Row] = {}
        self._rows: list[Row] = []

    def measure(self, image_id: str, image: Image.Image) -> None:
        """Measure an image, unless it has measures or the chunk had it before.

        Args:
            image_id: Id of the image.
            image: Decoded image, which is not changed.
        """
        with self._beginning:
            if image_id in self._begun:
                return
            self._begun.add(image_id)
        if self._since is not None and self._lake.has_rows_of(TABLE, [image_id], self._since):
            return
        try:
            self._measured[image_id] = measured(image_id, facts_of_decoded(image))
        except DAMAGE:
            return

    def take(self, image_id: str | None) -> None:
        """Keep the measures of an image until the image is committed.

        Args:
            image_id: Id of the image; None for a rejected item.
        """
        row = self._measured.pop(image_id or "", None)
        if row is not None:
            self._rows.append(row)

    def commit(self) -> None:
        """Commit the measures of the images taken; these images must be in the lake.

        Raises:
            CommitConflict: Other writers won every attempt.
            StoreError: The lake cannot be read or written.
        """
        commit_measures(self._lake, self._rows, self._since)
        self._rows = []
