"""Pools of threads that end with the work and do not delay a stopped run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from .stopping import is_stop


@contextmanager
def workers(
    n_threads: int, name: str, begin: Callable[[], None] | None = None
) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads and wait for them at the end, unless the run is stopped.

    A thread may be in a download of a minute; a stopped run commits finished work without it.

    Args:
        n_threads: Number of threads.
        name: Prefix of the threads' names.
        begin: Function that each thread calls first.
    """
    pool = ThreadPoolExecutor(n_threads, name, initializer=begin)
    try:
        yield pool
    except BaseException as error:
        pool.shutdown(wait=not is_stop(error), cancel_futures=True)
        raise
    pool.shutdown()
