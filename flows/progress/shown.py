"""Choice of the watcher by where the process runs, and single lines on stderr."""

from __future__ import annotations

import sys

from ..process.cells import is_notebook
from ..process.verbosity import is_json, is_quiet, print_message
from .bars import Bars
from .cell_bars import CellBars
from .watcher import Silent, Watcher


def for_terminal(*, quiet: bool = False) -> Watcher:
    """Return progress bars if stderr is a terminal or a notebook's cell, else a silent watcher."""
    if quiet or is_quiet() or is_json():
        return Silent()
    if is_notebook():
        return CellBars()
    return Bars() if sys.stderr.isatty() else Silent()


def say(line: str) -> None:
    """Print one line on stderr, such as the loss of a training; nothing if output is quiet."""
    if not is_quiet():
        print_message(line)
