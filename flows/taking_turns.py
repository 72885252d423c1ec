"""Runs of one machine that would do the same work take turns, a portion at a time.

Commits are right without it: each leaves out what another run has committed. This saves the work:
whoever comes second waits for the portion, finds it done, and goes on to the next. Runs of other
machines are not waited for.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ..data.cache import cache_folder

# Then the work is done all the same; a portion of slow downloads may take so long.
MAX_WAIT_S: Final = 900.0

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def turn(lake: str, *work: str) -> Iterator[None]:
    """Hold a portion of work while the block runs; wait for whoever holds it.

    The lock lies in this machine's cache, and the system lets go of it when a process dies.

    Args:
        lake: Address of the lake.
        *work: Names of what is worked on, such as the batch.
    """
    digest = hashlib.sha256("\n".join([lake, *work]).encode()).hexdigest()[:32]
    lock = FileLock(cache_folder("turns", f"{digest}.lock"), timeout=MAX_WAIT_S)
    try:
        cache_folder("turns").mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        _log.warning("another run has been at the same work for %.0f s; not waiting", MAX_WAIT_S)
    except OSError as error:
        _log.debug("no turns can be taken: %s", error)
    try:
        yield
    finally:
        if lock.is_locked:
            # Whoever waits finds that it has no name any more, and makes a new one.
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()
        lock.release()
