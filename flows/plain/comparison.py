"""The step that compares the images of a batch with earlier ones."""

from __future__ import annotations

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ...tasks.drift.measures import MIN_DISTANCE
from ...tasks.drift.of_run import drift_of_run
from .references import Compared, Scored


def drift(scored: Scored, *, limit: float = MIN_DISTANCE) -> Compared:
    """Compare the images that a step scored with earlier ones, as a whole and per source.

    The earlier images are those of the same batch; without enough of them, those of the same
    folders and archives. Images that were scored before are not compared, so a repeated `score` has
    none.

    Args:
        scored: Batch whose images are compared.
        limit: Smallest distance of a measure that counts as a shift, 0 to 1.

    Raises:
        ConfigError: The limit is out of range.
        StoreError: The lake cannot be read.
    """
    if not 0 <= limit <= 1:
        raise ConfigError(f"limit is {limit}; allowed: 0 to 1")
    lake, run_id = Lake(scored.lake, create=False), scored.score_run_id
    found = drift_of_run(lake, scored.key, run_id=run_id, batch_id=scored.batch_id, limit=limit)
    return Compared(lake=scored.lake, batch_id=scored.batch_id, run_id=run_id, drift=found)
