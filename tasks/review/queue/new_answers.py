"""The answers given since the queue was ranked, kept up to date at the cost of the new ones."""

from __future__ import annotations

import time
from typing import Final

import polars as pl

from ....data.schema import TABLES
from ....data.store.journal.place import is_in_lake
from ....data.store.lake import Lake
from ...labels import standing
from ..journal import Journal

# Look at the table of an object store, which takes requests; answers of this machine are seen
# in the journal at once.
REMOTE_EVERY_S: Final = 5.0
_ROW: Final = ("answer_id", "image_id", "reviewer", "reviewed_at")


class NewAnswers:
    """Answers since now, by image.

    Args:
        lake: Lake of the answers.
        journal: Open journal of the lake.

    Attributes:
        by_image: Reviewers with a standing answer per image.
    """

    def __init__(self, lake: Lake, journal: Journal) -> None:
        self._lake = lake
        self._journal = journal
        self._version = lake.version("reviews")
        self._looked_s = time.monotonic()
        _, self._last = journal.waiting()
        self._rows = pl.DataFrame(schema=pl.Schema(TABLES["reviews"]))
        self.by_image: dict[str, frozenset[str]] = {}

    def __len__(self) -> int:
        return self._rows.height

    def update(self) -> None:
        """Read the answers that were recorded since the last call.

        Raises:
            StoreError: The table or the journal cannot be read.
        """
        # First the journal: an answer that is moved meanwhile is then in both, never in neither.
        waiting, self._last = self._journal.waiting(self._last)
        parts = [self._rows, waiting]
        if is_in_lake(self._lake.store) or time.monotonic() - self._looked_s > REMOTE_EVERY_S:
            self._looked_s = time.monotonic()
            version = self._lake.version("reviews")
            if version != self._version:
                added = self._lake.added("reviews", self._version, version)
                parts.append(added.select(self._rows.columns).collect())
                self._version = version
        rows = pl.concat(parts).unique(_ROW, keep="first", maintain_order=True)
        if rows.height == self._rows.height:
            return
        self._rows = rows
        reviewers = standing(rows.lazy()).group_by("image_id").agg("reviewer").collect()
        self.by_image = {image_id: frozenset(names) for image_id, names in reviewers.iter_rows()}
