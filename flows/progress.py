"""Progress bars on stderr with images/s and time left; silent if stderr is not a terminal.

Steps call `advance` on the watcher that the run has installed, so the same step runs in a terminal,
in a notebook and in a scheduled worker.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ..data.text.printable import printable
from .process.terminal import guard, is_guarded, unguarded
from .process.verbosity import is_json, is_quiet, print_message


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


class _Rate(ProgressColumn):
    """Column with the images per second of the last half minute."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f} images/s", style="cyan")


class Bars:
    """Watcher that draws one progress bar per phase on stderr."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<8}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=Console(file=unguarded(sys.stderr)),
        )
        self._task: TaskID | None = None

    def begin(self, phase: str, total: int | None) -> None:
        """Add a bar; without a total it pulses."""
        is_command = is_guarded()
        self._progress.start()
        if is_command:
            guard()  # rich has replaced stdout and stderr
        self._task = self._progress.add_task(printable(phase), total=total)

    def expect(self, total: int | None) -> None:
        """Set the bar's total, from which the time left follows."""
        if self._task is not None and total is not None:
            self._progress.update(self._task, total=total)

    def advance(self, n: int) -> None:
        """Advance the bar."""
        if self._task is not None:
            self._progress.advance(self._task, n)

    def end(self) -> None:
        """Fill the bar and release the terminal."""
        if self._task is not None:
            done = self._progress.tasks[self._task].completed
            self._progress.update(self._task, total=max(done, 0), completed=done)
        self._progress.stop()

    def close(self) -> None:
        """Leave the bars as they are and restore the cursor."""
        self._progress.stop()


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


def for_terminal(*, quiet: bool = False) -> Watcher:
    """Return progress bars if stderr is a terminal, else a silent watcher."""
    is_shown = sys.stderr.isatty() and not (quiet or is_quiet() or is_json())
    return Bars() if is_shown else Silent()


def say(line: str) -> None:
    """Print one line on stderr, such as the loss of a training; nothing if output is quiet."""
    if not is_quiet():
        print_message(line)
