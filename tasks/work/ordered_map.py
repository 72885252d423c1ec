"""Work in threads with results in the order of the jobs, and a bound on waiting results."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

MAX_WAITING_BYTES: Final = 64 * 2**20
# A wait without a timeout ignores Ctrl-C once a library has made the signal restart system calls.
WAKE_EVERY_S: Final = 0.2
# Longest wait for several results at once.
_LINGER_S: Final = 0.05

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def weightless(_out: object) -> int:
    """Return 0, the weight of results that hold almost no memory."""
    return 0


def ordered_map(
    pool: ThreadPoolExecutor,
    work: Callable[[_In], _Out],
    jobs: Iterable[_In],
    *,
    n_ahead: int,
    weigh: Callable[[_Out], int] = weightless,
    weigh_job: Callable[[_In], int] = weightless,
) -> Generator[_Out, None, None]:
    """Yield the results of jobs in order, as `pool.map` does, with a bound on pending jobs.

    A slow job at the head leaves no thread idle, and large results do not accumulate.

    Args:
        pool: Threads that do the work.
        work: Function from a job to its result.
        jobs: Jobs, read lazily.
        n_ahead: Largest number of jobs that are pending at once.
        weigh: Function from a result to the bytes that it holds; no job starts while waiting
            results hold `MAX_WAITING_BYTES` or more.
        weigh_job: Function from a job to the bytes that it and its result hold until the result is
            yielded; they count together with those of `weigh`.

    Raises:
        Exception: Any error of `jobs` or `work`.
    """
    waiting: deque[tuple[Future[_Out], int]] = deque()
    held = _Held()

    def weighed(job: _In) -> _Out:
        result = work(job)
        held.add(weigh(result))
        return result

    def is_full() -> bool:
        return len(waiting) >= n_ahead or held.n_bytes >= MAX_WAITING_BYTES

    def next_result() -> _Out:
        future, n_bytes = waiting.popleft()
        result = _result(future)
        held.add(-n_bytes - weigh(result))
        return result

    try:
        for job in jobs:
            n_bytes = weigh_job(job)
            held.add(n_bytes)
            waiting.append((pool.submit(weighed, job), n_bytes))
            if is_full():
                # Woken for several results at once: each time costs a change of thread.
                wait([waiting[len(waiting) // 8][0]], timeout=_LINGER_S)
            # A finished head is yielded at once, since a stopped run would lose it.
            while waiting and (waiting[0][0].done() or is_full()):
                yield next_result()
        while waiting:
            yield next_result()
    finally:
        for future, _ in waiting:
            future.cancel()


class _Held:
    """Bytes held by finished results, counted by the threads that make them."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self._lock = threading.Lock()

    def add(self, n_bytes: int) -> None:
        with self._lock:
            self.n_bytes += n_bytes


def _result(future: Future[_Out]) -> _Out:
    while not future.done():
        wait([future], timeout=WAKE_EVERY_S)
    return future.result()
