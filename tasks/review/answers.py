"""The answers that count, from the table `reviews` and from the journal."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import polars as pl

from ...data.errors import StoreError
from ...data.schema import TABLES
from ...data.store.conform import conform
from ...data.store.journal.connect import reading
from ...data.store.journal.place import journal_path
from ...data.store.lake import Lake
from ..labels import standing
from .answer import row_of_json
from .journal import Journal

_log = logging.getLogger(__name__)


def standing_answers(lake: Lake, image_ids: Sequence[str] | None = None) -> pl.LazyFrame:
    """Return the latest standing answer per image and reviewer; see `labels.standing`.

    Args:
        lake: Lake of the answers.
        image_ids: Ids of the images; None for all.

    Returns:
        Columns of the table `reviews`.

    Raises:
        StoreError: The table or the journal cannot be read.
    """
    return standing(all_answers(lake, image_ids))


def all_answers(lake: Lake, image_ids: Sequence[str] | None = None) -> pl.LazyFrame:
    """Return every recorded row of answers, each once: corrected and withdrawn ones too.

    Args:
        lake: Lake of the answers.
        image_ids: Ids of the images; None for all.

    Returns:
        Columns of the table `reviews`.

    Raises:
        StoreError: The table or the journal cannot be read.
    """
    # First the journal: an answer that is moved meanwhile is then in both, never in neither.
    waiting = pending_answers(lake)
    names = TABLES["reviews"].names
    if image_ids is None:
        rows = lake.scan("reviews").select(names)
    else:
        rows = lake.rows_of("reviews", image_ids).select(names)
        waiting = waiting.filter(pl.col("image_id").is_in(list(image_ids)))
    if waiting.is_empty():
        return rows
    moved = rows.filter(pl.col("answer_id").is_in(waiting["answer_id"].to_list()))
    left = waiting.lazy().join(moved, on="answer_id", how="anti")
    return pl.concat([rows, left])


def pending_answers(lake: Lake) -> pl.DataFrame:
    """Return the answers in the journal, in the order in which they were recorded.

    Returns:
        Columns of the table `reviews`.

    Raises:
        StoreError: The journal cannot be read.
    """
    rows = []
    with reading(lake.store) as connection:
        if connection is not None:
            found = connection.execute("SELECT answer FROM pending ORDER BY seq")
            rows = [row_of_json(text) for (text,) in found]
    return pl.DataFrame(conform("reviews", rows))


def settle(lake: Lake) -> int:
    """Move the answers of the journal into the table, and return their number.

    Called before answers are read by version. A lake without a journal costs one look-up of a
    file. In a lake that cannot be written, they stay where they are, with a warning.

    Args:
        lake: Lake of the answers.

    Raises:
        StoreError: The journal is damaged, or the lake cannot be read.
    """
    if not (n_waiting := n_pending(lake)):
        return 0
    try:
        with Journal(lake) as journal:
            return journal.fold()
    except StoreError as error:
        _log.warning(
            "%d answers wait in %s and are not used here: %s",
            n_waiting,
            journal_path(lake.store),
            error,
        )
        return 0


def n_pending(lake: Lake) -> int:
    """Return the number of answers in the journal.

    Raises:
        StoreError: The journal cannot be read.
    """
    with reading(lake.store) as connection:
        if connection is None:
            return 0
        return int(connection.execute("SELECT count(*) FROM pending").fetchone()[0])
