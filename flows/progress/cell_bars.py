"""Progress bars in the output of a notebook's cell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

from ...data.text.printable import printable
from ..process.cells import in_marimo

_SECONDS_BETWEEN: Final = 0.25
"""Time between two drawings: each is a message to the browser."""


class CellBars:
    """Watcher that draws one bar per phase below the running cell.

    tqdm draws: as a widget in Jupyter and VS Code, and in marimo as marimo's own bar. A bar that
    ends early, as by an interrupt, turns red. Without ipywidgets nothing is drawn.

    Args:
        make: Maker of a bar with tqdm's arguments [default: `tqdm.notebook.tqdm`].
    """

    def __init__(self, make: Callable[..., Any] | None = None) -> None:
        self._make = make or _bar
        self._lock = threading.Lock()  # steps advance from several threads
        self._phase = ""
        self._total: int | None = None
        self._done = 0
        self._bar: Any = None

    def begin(self, phase: str, total: int | None) -> None:
        """Start a phase; its bar is drawn once its total or its first image is known."""
        self.close()
        self._phase, self._total, self._done = printable(phase), total, 0
        if total:
            self._draw()

    def expect(self, total: int | None) -> None:
        """Set the total, and draw the bar if it was waiting for it."""
        with self._lock:
            if total is None or total == self._total:
                return
            self._total = total
            if self._bar is None:
                self._draw()
            else:
                self._bar.total = total

    def advance(self, n: int) -> None:
        """Advance the bar."""
        with self._lock:
            if self._bar is None:
                self._draw()
            self._done += n
            self._bar.update(n)

    def end(self) -> None:
        """Fill the bar, also where fewer images came than were expected."""
        if self._bar is not None:
            self._bar.total = self._done
        self.close()

    def close(self) -> None:
        """Leave the bar as it is."""
        with self._lock:
            bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()

    def _draw(self) -> None:
        self._bar = self._make(
            total=self._total,
            initial=self._done,
            desc=self._phase,
            unit="image",
            unit_scale=False,
            mininterval=_SECONDS_BETWEEN,
        )


class _NoBar:
    """Bar that shows nothing."""

    total: int | None = None

    def update(self, n: int) -> None:
        """Ignore the images."""

    def close(self) -> None:
        """Ignore the end."""


def _bar(*, total: int | None, **options: Any) -> Any:
    """Return tqdm's bar for notebooks."""
    if find_spec("ipywidgets") is None:  # tqdm's bars are made of it
        return _NoBar()
    from tqdm import notebook

    if in_marimo():
        # marimo has put its own bar in the place of tqdm's; it takes no bar without a total.
        return notebook.tqdm(total=total, desc=options["desc"]) if total else _NoBar()
    return notebook.tqdm(total=total, **options)
