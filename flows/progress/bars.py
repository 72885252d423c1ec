"""Progress bars on a terminal, with images/s and time left."""

from __future__ import annotations

import sys

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

from ...data.text.printable import printable
from ..process.terminal import guard, is_guarded, unguarded


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
