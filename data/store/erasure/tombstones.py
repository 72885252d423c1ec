"""Tombstones: the images that were forgotten, which no writer brings back."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ...schema import Row

if TYPE_CHECKING:
    from ..tables import Tables

Rows: TypeAlias = Sequence[Row] | pa.Table | pl.DataFrame

TABLE: Final = "forgotten"
# Tables with what was computed from the pixels: hashes, metadata, embeddings, logits.
DERIVED: Final = ("images", "scores", "views", "deliveries", "measures")


class Tombstones:
    """Ids of forgotten images, read again when the table has a newer version; threads may share it.

    Args:
        tables: Tables of the lake.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._kept: tuple[int | None, frozenset[str]] = (None, frozenset())
        self._looked_s = -math.inf
        self._lock = threading.Lock()

    def ids(self, *, max_age_s: float = 0.0) -> frozenset[str]:
        """Return the ids of all images that were to be forgotten, also if that is unfinished.

        Args:
            max_age_s: Age up to which an earlier answer is given again, in seconds.

        Raises:
            StoreError: The table cannot be read.
        """
        now_s = time.monotonic()
        with self._lock:
            if now_s - self._looked_s < max_age_s:
                return self._kept[1]
        version = self._tables.version(TABLE)
        with self._lock:
            if version is None:
                self._kept = (None, frozenset())
            elif self._kept[0] != version:
                rows = self._tables.scan(TABLE, version).select(pl.col("image_id").unique())
                self._kept = (version, frozenset(rows.collect()["image_id"]))
            self._looked_s = now_s
            return self._kept[1]

    def without_forgotten(self, rows: Rows) -> Rows:
        """Return rows with a column `image_id` without those about forgotten images.

        Args:
            rows: Rows as dicts, an Arrow table or a polars frame.

        Raises:
            StoreError: The table of tombstones cannot be read.
        """
        ids = self.ids()
        if not ids:
            return rows
        if isinstance(rows, pl.DataFrame):
            return rows.filter(~pl.col("image_id").is_in(list(ids)))
        if isinstance(rows, pa.Table):
            is_forgotten = pc.is_in(rows.column("image_id"), pa.array(sorted(ids), pa.string()))
            return rows.filter(pc.invert(is_forgotten))
        return [row for row in rows if row["image_id"] not in ids]

    def unfinished(self) -> frozenset[str]:
        """Return the ids of images that are to be forgotten, and of which traces may be left.

        Raises:
            StoreError: The table cannot be read.
        """
        if not self.ids():
            return frozenset()
        rows = self._tables.scan(TABLE).select("image_id", "is_erased").collect()
        erased = rows.filter("is_erased")["image_id"]
        return frozenset(rows["image_id"]) - frozenset(erased)
