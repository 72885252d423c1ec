"""The end of a serving process by SIGTERM: its runs commit first, then it stops serving.

A container runtime sends SIGTERM to the serving process alone. Prefect's runner would stop at once
and leave its runs to be killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from ..process.signals import LEAVE_WITHIN_S, Terminated

# A run ends itself within LEAVE_WITHIN_S; this is for its last messages.
_LAST_WORDS_S: Final = 2.0


@contextlib.contextmanager
def runs_ended_first() -> Iterator[None]:
    """Pass SIGTERM on to the runs of this process, and stop serving when they have ended.

    No effect outside the main thread.

    Raises:
        Terminated: SIGTERM was received; raised after serving has stopped.
    """
    from prefect.runner import Runner

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    was_asked = False

    def end(_runner: Any, *_: Any) -> None:
        nonlocal was_asked
        was_asked = True
        end_runs()
        # Prefect's runner stops in order at Ctrl-C; at SIGTERM it leaves its loop in mid-step.
        signal.raise_signal(signal.SIGINT)

    usual = Runner.handle_sigterm
    Runner.handle_sigterm = end  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Runner.handle_sigterm = usual  # type: ignore[method-assign]
    if was_asked:
        raise Terminated


def end_runs() -> None:
    """Send SIGTERM to the runs, and wait for their end for a limited time.

    Prefect's runner starts each as a child of multiprocessing.
    """
    runs = multiprocessing.active_children()
    for run in runs:
        run.terminate()
    until_s = time.monotonic() + LEAVE_WITHIN_S + _LAST_WORDS_S
    for run in runs:
        run.join(max(until_s - time.monotonic(), 0))
