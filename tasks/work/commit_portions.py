"""Rows committed while they are made: a kill or an error loses a minute of work at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, Self, TypeVar

from ...data.errors import StoreError
from ...data.schema import Row
from .stopping import hand_on

ROWS_A_COMMIT: Final = 1000
COMMIT_EVERY_S: Final = 60.0


class Counts(Protocol):
    """Counts that can be added."""

    def __add__(self, other: Self, /) -> Self:
        """Return the sums."""


C = TypeVar("C", bound=Counts)


def commit_portions(
    parts: Iterable[tuple[Sequence[Row], int]],
    commit: Callable[[Sequence[Row]], C],
    counts: C,
    *,
    on_item: Callable[[int], None] | None = None,
) -> C:
    """Commit rows every thousand or every minute, and return the counts of all commits.

    Args:
        parts: Rows as they are made, each with the number of images that they finish.
        commit: Function that commits rows and counts what it has committed.
        counts: Counts so far.
        on_item: Callback with the number of images finished since its last call.

    Raises:
        StoreError: `parts` cannot read, or `commit` cannot write; committed rows stay.
        BaseException: Any other error, after a commit of the finished rows; see `kept_of`.
    """
    waiting: list[Row] = []
    last_commit_s = time.monotonic()

    def commit_waiting() -> None:
        nonlocal counts, waiting, last_commit_s
        if waiting:
            counts += commit(waiting)
        waiting, last_commit_s = [], time.monotonic()

    try:
        for rows, n_finished in parts:
            waiting += rows
            if len(waiting) >= ROWS_A_COMMIT or time.monotonic() - last_commit_s > COMMIT_EVERY_S:
                commit_waiting()
            if on_item is not None and n_finished:
                on_item(n_finished)
        commit_waiting()
    except BaseException as error:
        if not isinstance(error, StoreError):
            commit_waiting()
        hand_on(error, counts)
        raise
    return counts
