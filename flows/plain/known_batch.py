"""A batch that is in the lake already, as the source of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...data.store.lake import Lake
from ...tasks.ingest_counts import IngestCounts
from ...tasks.runs.run_record import find_run
from .references import Batch


@dataclass(frozen=True, slots=True)
class KnownBatch:
    """A batch that is in the lake already; its run reads no source."""

    batch_id: str
    batch: Batch

    def params(self) -> dict[str, Any]:
        """Return the sources of the batch and the run that ingested it, for the run's record."""
        lake = Lake(self.batch.lake, create=False)
        before = find_run(lake, self.batch.run_id).params
        return {"sources": before.get("sources", ()), "after_run": self.batch.run_id}

    def __call__(self, lake: Lake, run_id: str) -> IngestCounts:
        """Return the counts of the batch; nothing is read."""
        batch = self.batch
        return IngestCounts(
            items=batch.items,
            stored=batch.stored,
            duplicates=batch.duplicates,
            rejected=batch.rejected,
            unchanged=batch.unchanged,
        )


def source_of(batch: Batch | None) -> KnownBatch | None:
    """Return the source of a step over a batch; None for the whole lake."""
    if batch is None or batch.batch_id is None:
        return None
    return KnownBatch(batch.batch_id, batch)
