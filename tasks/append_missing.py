"""Rows that are only right once: checked in the commit against what other runs have committed.

Two runs at once look for what is left to do, do the same, and come to commit it. Each commit names
the version of the table that it looked at, so of two the second is refused, looks again, and
leaves out what the first has committed. On a local lake they take turns besides.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import polars as pl

from ..data.errors import CommitConflict
from ..data.schema import Row
from ..data.store.lake import Lake

MAX_ATTEMPTS = 20
MAX_BACKOFF_S = 2.0

T = TypeVar("T")


def append_missing(
    lake: Lake,
    table: str,
    rows: Sequence[Row],
    *,
    since: int | None,
    name: Callable[[Row], str],
    taken: Callable[[pl.LazyFrame], Collection[str]],
    txn: str,
) -> list[Row]:
    """Append the rows that nobody has committed since a version.

    What the table held at that version is the caller's to know. Its cost follows what others
    have committed since, not the size of the table.

    Args:
        lake: Where the table is.
        table: Name of the table.
        rows: Rows to commit.
        since: Version at which the work was found to be missing; None: there was no table.
        name: Function that gives what a row is about, such as its image_id.
        taken: Function from the rows that came since to the names that they are about.
        txn: Beginning of the transaction's name; a hash of the rows' names follows.

    Returns:
        The rows that were committed.

    Raises:
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written.
    """

    def once() -> list[Row]:
        with lake.writing():
            version = lake.version(table)
            known = taken(lake.added(table, since, version))
            left = [row for row in rows if name(row) not in known]
            # Named by its content: a retry after a kill has other rows left, and they must not be
            # taken for those of the first try.
            digest = hashlib.sha256("\n".join(map(name, left)).encode()).hexdigest()[:32]
            lake.append(table, left, txn=f"{txn}:{digest}", after=version or 0)
            return left

    return until_alone(once) if rows else []


def until_alone(work: Callable[[], T]) -> T:
    """Look, work out and commit again until no other writer comes in between.

    Raises:
        CommitConflict: Other writers won every attempt.
    """
    for attempt in range(MAX_ATTEMPTS):
        try:
            return work()
        except CommitConflict as error:
            conflict = error
            limit_s = min(MAX_BACKOFF_S, 0.02 * 2**attempt)
            time.sleep(random.uniform(0, limit_s))  # noqa: S311 - spreads writers, no secret
    raise conflict
