"""Ctrl-C and SIGTERM in the command: the run commits finished work within a bounded time.

The first signal raises an exception in the main thread, and steps commit before they exit. A second
signal, or the end of the time, ends the process immediately; the next run repeats the work that was
not committed, as after `kill -9`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

# Kubernetes sends SIGKILL 30 s after SIGTERM, Docker 10 s.
LEAVE_WITHIN_S: Final = 8.0
# Time for threads that still read or compute after the last message.
LINGER_S: Final = 1.0
# Time for the code that has suppressed the exception of a signal to finish.
AGAIN_AFTER_S: Final = 0.05
# Wrappers such as `uv run` forward the Ctrl-C that the terminal has sent to all processes.
SAME_SIGNAL_S: Final = 0.3

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM, sent by a service manager, a container runtime or a scheduler."""


def exit_code_of(error: BaseException) -> int | None:
    """Return 130 or 143 for an exception raised by a signal, None for any other."""
    if isinstance(error, Terminated):
        return 128 + signal.SIGTERM
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    # Prefect's exception derives from BaseException only.
    number = getattr(error, "signal", None)
    return None if isinstance(error, Exception) or number is None else 128 + int(number)


def notes_of(error: BaseException | None) -> list[str]:
    """Return the notes of an exception and of its causes, the earliest first."""
    notes: list[str] = []
    while error is not None:
        notes = [*getattr(error, "__notes__", ()), *notes]
        error = error.__cause__ or error.__context__
    return list(dict.fromkeys(notes))


def farewell(error: BaseException) -> str:
    """Return the message for a stop: the progress in its notes, if any."""
    word = "stopped by SIGTERM" if exit_code_of(error) == 128 + signal.SIGTERM else "interrupted"
    kept = "; ".join(notes_of(error))
    return f"{word}: {kept or 'committed work is kept; run the same command again to resume'}"


class Leaving:
    """Reaction of the process to each signal.

    Args:
        say: Function that prints a message.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._since_s: float | None = None
        self._is_lost = False

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Raise at the first signal, end the process at the second."""
        now_s = time.monotonic()
        if self._is_lost:
            self._is_lost = False
            raise _stop_of(number)
        if self._since_s is None:
            self._since_s = now_s
            self._leave_in(
                LEAVE_WITHIN_S,
                128 + number,
                f"stopped {LEAVE_WITHIN_S:.0f} s after the signal; the same command repeats the"
                " work that was not committed",
            )
            raise _stop_of(number)
        if now_s - self._since_s > SAME_SIGNAL_S:
            self._leave(
                128 + number,
                "stopped immediately; the same command repeats the work that was not committed",
            )

    def on_unraisable(self, seen: sys.UnraisableHookArgs) -> bool:
        """Send a signal again whose exception Python has dropped; return whether it was one.

        Python drops it if the signal arrives during a destructor or a weak reference's callback.
        """
        if self._since_s is None or not isinstance(seen.exc_value, KeyboardInterrupt):
            return False
        self._is_lost = True
        is_term = isinstance(seen.exc_value, Terminated)
        number = signal.SIGTERM if is_term else signal.SIGINT
        again = threading.Timer(AGAIN_AFTER_S, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return True

    def linger(self, exit_code: int) -> None:
        """End the process a moment after the last message, so that threads may finish."""
        if self._since_s is not None:
            self._leave_in(LINGER_S, exit_code, None)

    def _leave_in(self, seconds: float, exit_code: int, message: str | None) -> None:
        timer = threading.Timer(seconds, self._leave, (exit_code, message))
        timer.daemon = True
        timer.start()

    def _leave(self, exit_code: int, message: str | None) -> None:
        if message is not None:
            self._say(message)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(exit_code)


def _stop_of(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


@contextlib.contextmanager
def handled(say: Callable[[str], None]) -> Iterator[Leaving]:
    """Turn the first Ctrl-C or SIGTERM into an exception, and bound the time after it.

    No effect outside the main thread, and on signals that other code handles or that the parent
    process ignored.

    Args:
        say: Function that prints a message.
    """
    leaving = Leaving(say)
    if threading.current_thread() is not threading.main_thread():
        yield leaving
        return
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    mine = [number for number in _SIGNALS if before[number] == usual[number]]
    for number in mine:
        signal.signal(number, leaving.on_signal)
    hook = sys.unraisablehook

    def on_unraisable(seen: sys.UnraisableHookArgs) -> None:
        if not leaving.on_unraisable(seen):
            hook(seen)

    sys.unraisablehook = on_unraisable
    try:
        yield leaving
    finally:
        sys.unraisablehook = hook
        for number in mine:
            signal.signal(number, before[number])


@contextlib.contextmanager
def ctrl_c_left_to_asyncio() -> Iterator[None]:
    """Restore Python's handler of Ctrl-C, without which an event loop does not stop gracefully."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
