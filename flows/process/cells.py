"""Cells of a notebook: whether the process runs them, and how an interrupted one ends."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from .signals import farewell


def is_notebook() -> bool:
    """Return whether a kernel of Jupyter or marimo runs this process, not a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None or in_marimo()


def in_marimo() -> bool:
    """Return whether marimo runs this process."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


@contextlib.contextmanager
def interrupts_in_one_line() -> Iterator[None]:
    """Let IPython show an interrupt within the block as one line without a traceback.

    The line says what is kept. The exception stays a KeyboardInterrupt, so the cells after it do
    not run.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        line = farewell(error).replace("the same command", "the same cell")
        # IPython calls it in place of its own formatter.
        error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]
        raise
