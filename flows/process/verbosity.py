"""Amount of output of the command: errors only, the usual messages, or log lines too."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Final, TextIO

_LOGGER: Final = logging.getLogger("assay")
_is_quiet = False


class _Stderr(logging.Handler):
    """Handler that prints on the current stderr, which may be replaced while a command runs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        try:
            stream: TextIO = sys.stderr
            print(self.format(record), file=stream, flush=True)
        except (OSError, ValueError):
            self.handleError(record)


def is_quiet() -> bool:
    """Return whether the command prints errors and paths only."""
    return _is_quiet


@contextlib.contextmanager
def verbosity(*, verbose: bool, quiet: bool) -> Iterator[None]:
    """Set the amount of output while the block runs.

    Args:
        verbose: Whether log lines are printed from DEBUG upwards, else from WARNING.
        quiet: Whether log lines below ERROR, progress and summaries are hidden.
    """
    global _is_quiet  # noqa: PLW0603
    before, level = _is_quiet, _LOGGER.level
    handler = _Stderr()
    if verbose:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
        )
    _is_quiet = quiet
    _LOGGER.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING)
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
        _is_quiet = before
