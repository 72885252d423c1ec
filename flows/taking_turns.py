"""Locks that keep concurrent runs on one machine from doing the same work twice.

Commits are correct without them, since each omits what another run has committed. The locks save
the work: the second run waits for a portion, finds it done, and continues with the next. Runs on
other machines are not considered.
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

# After this time the work is done without the lock; a portion of slow downloads may take as long.
MAX_WAIT_S: Final = 900.0

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def turn(lake: str, *work: str) -> Iterator[None]:
    """Hold the lock of a portion of work while the block runs, after waiting for its holder.

    The lock file is in this machine's cache; the system releases it when a process dies.

    Args:
        lake: Address of the lake.
        *work: Names of the portion, such as the batch.
    """
    digest = hashlib.sha256("\n".join([lake, *work]).encode()).hexdigest()[:32]
    lock = FileLock(cache_folder("turns", f"{digest}.lock"), timeout=MAX_WAIT_S)
    try:
        cache_folder("turns").mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        _log.warning(
            "another run has held the same work for %.0f s; continuing without the lock",
            MAX_WAIT_S,
        )
    except OSError as error:
        _log.debug("locks are not available: %s", error)
    try:
        yield
    finally:
        if lock.is_locked:
            # A waiting process notices that the file has no name, and creates a new one.
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()
        lock.release()
