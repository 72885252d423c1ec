"""Work in threads whose results come in the order of the jobs, with a bound on what waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

MAX_WAITING_BYTES: Final = 64 * 2**20
# A wait without an end sleeps through Ctrl-C once a library has set the signal to restart it.
WAKE_EVERY_S: Final = 0.2

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def weightless(_out: object) -> int:
    """Results that hold on to next to nothing."""
    return 0


def ordered_map(
    pool: ThreadPoolExecutor,
    work: Callable[[_In], _Out],
    jobs: Iterable[_In],
    *,
    n_ahead: int,
    weigh: Callable[[_Out], int] = weightless,
) -> Generator[_Out, None, None]:
    """`pool.map` that draws at most `n_ahead` jobs before their results are taken.

    Fewer while the results that wait weigh more than 64 MiB by `weigh`, so that a slow job at
    the head leaves no thread idle and yet large ones do not pile up.
    """
    waiting: deque[Future[_Out]] = deque()

    def is_full() -> bool:
        if len(waiting) >= n_ahead:
            return True
        ready = (future for future in waiting if future.done() and not future.exception())
        return sum(weigh(future.result()) for future in ready) >= MAX_WAITING_BYTES

    try:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            # What is ready at the head is given at once: it would be lost if the run were stopped.
            while waiting and (waiting[0].done() or is_full()):
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        for future in waiting:
            future.cancel()


def _result(future: Future[_Out]) -> _Out:
    while not wait([future], timeout=WAKE_EVERY_S).done:
        pass
    return future.result()
