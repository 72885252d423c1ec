"""Progress of a run: what its steps tell, and the watcher that the process has installed.

Steps call `advance` on the watcher that the run has installed, so the same step runs in a terminal,
in a notebook and in a scheduled worker.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol


class Watcher(Protocol):
    """Receiver of a run's progress."""

    def begin(self, phase: str, total: int | None) -> None:
        """Start a phase; `total` is its number of images, if known."""

    def expect(self, total: int | None) -> None:
        """Set the number of images of the current phase, once it is known."""

    def advance(self, n: int) -> None:
        """Add `n` images to those done in the current phase."""

    def end(self) -> None:
        """End the current phase."""

    def close(self) -> None:
        """Stop, also within a phase."""


class Silent:
    """Watcher that shows nothing; the default."""

    def begin(self, phase: str, total: int | None) -> None:
        """Ignore the phase."""

    def expect(self, total: int | None) -> None:
        """Ignore the total."""

    def advance(self, n: int) -> None:
        """Ignore the images."""

    def end(self) -> None:
        """Ignore the end."""

    def close(self) -> None:
        """Ignore the stop."""


class Both:
    """Watcher that tells two others."""

    def __init__(self, first: Watcher, second: Watcher) -> None:
        self._both = (first, second)

    def begin(self, phase: str, total: int | None) -> None:
        """Start a phase of both."""
        for watcher in self._both:
            watcher.begin(phase, total)

    def expect(self, total: int | None) -> None:
        """Set the total of both."""
        for watcher in self._both:
            watcher.expect(total)

    def advance(self, n: int) -> None:
        """Advance both."""
        for watcher in self._both:
            watcher.advance(n)

    def end(self) -> None:
        """End the phase of both."""
        for watcher in self._both:
            watcher.end()

    def close(self) -> None:
        """Stop both."""
        for watcher in self._both:
            watcher.close()


_current: Watcher = Silent()


def current() -> Watcher:
    """Return the watcher of this process's run."""
    return _current


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[Watcher]:
    """Install a watcher for the duration of a run.

    It is a plain global instead of a context variable, since worker threads must see it too.
    """
    global _current  # noqa: PLW0603
    before = _current
    _current = watcher
    try:
        yield watcher
    finally:
        watcher.close()
        _current = before
