"""Listing ahead of the work, so that the total is known early."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class ListedAhead(Iterator[T]):
    """Iterator that reads a number of items ahead of the one it returns.

    Attributes:
        total: Number of all items; None until the last has been read.
    """

    def __init__(self, items: Iterable[T], n_ahead: int) -> None:
        self.total: int | None = None
        self._rest = iter(items)
        self._n_ahead = n_ahead
        self._n_drawn = 0
        self._drawn: deque[T] = deque()

    def __next__(self) -> T:
        self._draw()
        if not self._drawn:
            raise StopIteration
        return self._drawn.popleft()

    def _draw(self) -> None:
        while self.total is None and len(self._drawn) < self._n_ahead:
            try:
                self._drawn.append(next(self._rest))
            except StopIteration:
                self.total = self._n_drawn
            else:
                self._n_drawn += 1
