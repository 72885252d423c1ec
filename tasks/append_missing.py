"""Appends of rows that may exist only once, checked against the commits of concurrent runs.

Two concurrent runs may do the same work and try to commit the same rows. Each commit names the
version of the table that it was checked against, so that the second one conflicts, reads the
table again and leaves out the rows that the first one committed. On a local lake the writers also
take turns.
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
    """Append those rows that no other run has committed since a version of the table.

    The caller has checked the rows against the table at that version. The cost grows with the
    commits since then, not with the table.

    Args:
        lake: Lake of the table.
        table: Name of the table.
        rows: Rows to commit.
        since: Version of the table at which the rows were missing; None: the table did not exist.
        name: Function from a row to its subject, such as its image_id.
        taken: Function from the rows committed since to their subjects.
        txn: Prefix of the transaction's name; a hash of the subjects follows.

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
            # The content is part of the name: a retry after a kill has other rows left, which
            # must not be taken for those of the first attempt.
            digest = hashlib.sha256("\n".join(map(name, left)).encode()).hexdigest()[:32]
            lake.append(table, left, txn=f"{txn}:{digest}", after=version or 0)
            return left

    return retry_conflicts(once) if rows else []


def retry_conflicts(work: Callable[[], T]) -> T:
    """Return the result of `work`, repeated after each commit conflict with a growing pause.

    Args:
        work: Function that reads the lake and commits; it raises CommitConflict if another writer
            was faster.

    Raises:
        CommitConflict: Other writers won every attempt.
    """
    for attempt in range(MAX_ATTEMPTS):
        try:
            return work()
        except CommitConflict as error:
            conflict = error
            limit_s = min(MAX_BACKOFF_S, 0.02 * 2**attempt)
            time.sleep(random.uniform(0, limit_s))  # noqa: S311 - jitter between writers
    raise conflict
