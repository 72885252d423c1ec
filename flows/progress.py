"""Progress for people: bars on stderr with images per second and time left, silent elsewhere.

Steps do not know who watches: they call `advance` on whatever the run installed, so the same
step runs under a terminal, a notebook and a scheduled worker.
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


class Watcher(Protocol):
    """Somebody who is told how a run gets on."""

    def begin(self, phase: str, total: int | None) -> None:
        """A phase starts, with as many images as it has, where that is known."""

    def expect(self, total: int | None) -> None:
        """How many images the running phase has in all, once that is known."""

    def advance(self, n: int) -> None:
        """So many more images of the running phase are done."""

    def end(self) -> None:
        """The running phase is over."""

    def close(self) -> None:
        """Nothing more comes, also where the run was stopped in a phase."""


class Silent:
    """Says nothing; the default."""

    def begin(self, phase: str, total: int | None) -> None:
        """Nothing to show."""

    def expect(self, total: int | None) -> None:
        """Nothing to show."""

    def advance(self, n: int) -> None:
        """Nothing to show."""

    def end(self) -> None:
        """Nothing to show."""

    def close(self) -> None:
        """Nothing to show."""


class _Rate(ProgressColumn):
    """Images per second, as measured over the last half minute."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f} images/s", style="cyan")


class Bars:
    """One bar a phase, on stderr."""

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
        """Adds a bar; without a total it pulses."""
        is_command = is_guarded()
        self._progress.start()
        if is_command:
            guard()  # the bars have put themselves before stdout and stderr
        self._task = self._progress.add_task(printable(phase), total=total)

    def expect(self, total: int | None) -> None:
        """From here on the bar has an end, and the time left can be told."""
        if self._task is not None and total is not None:
            self._progress.update(self._task, total=total)

    def advance(self, n: int) -> None:
        """Moves the bar on."""
        if self._task is not None:
            self._progress.advance(self._task, n)

    def end(self) -> None:
        """Fills the bar and lets the terminal go."""
        if self._task is not None:
            done = self._progress.tasks[self._task].completed
            self._progress.update(self._task, total=max(done, 0), completed=done)
        self._progress.stop()

    def close(self) -> None:
        """Leaves the bars as they are and gives the cursor back."""
        self._progress.stop()


_current: Watcher = Silent()


def current() -> Watcher:
    """Whoever watches this process's run."""
    return _current


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[Watcher]:
    """Installs a watcher for the time of a run.

    A plain global and not a context variable: the steps' worker threads must see it too.
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
    """Bars where stderr is a terminal, nothing where it is a file, a pipe or a log."""
    return Bars() if sys.stderr.isatty() and not quiet else Silent()


def say(line: str) -> None:
    """One line for whoever reads stderr, terminal or log: losses of a training, a choice made."""
    print(line, file=sys.stderr)  # noqa: T201
