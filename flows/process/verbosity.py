"""Amount of output of the command: errors only, the usual messages, or log lines too."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TextIO

from .json_lines import JsonLines

_LOGGER: Final = logging.getLogger("assay")
_is_quiet = False
_is_json = False

_OPTION: Final = "--log-format"
FORMAT_VARIABLE: Final = "ASSAY_LOG_FORMAT"
LogFormat = Literal["text", "json"]


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


def is_json() -> bool:
    """Return whether what the command prints on stderr is one JSON object per line."""
    return _is_json


@contextlib.contextmanager
def messages_of(arguments: Sequence[str]) -> Iterator[None]:
    """Set the form of messages that the command's arguments ask for, also if they are refused.

    Args:
        arguments: Arguments of the command, not parsed yet.
    """
    global _is_json  # noqa: PLW0603
    before = _is_json
    given = [
        after if word == _OPTION else word.removeprefix(f"{_OPTION}=")
        for word, after in zip(arguments, [*arguments[1:], ""], strict=True)
        if word.partition("=")[0] == _OPTION
    ]
    _is_json = (given[-1] if given else os.environ.get(FORMAT_VARIABLE)) == "json"
    try:
        yield
    finally:
        _is_json = before


def print_message(message: str, *, level: int = logging.INFO) -> None:
    """Print a message of the command on stderr: as it is, or as a log line in JSON."""
    if _is_json:
        record = logging.LogRecord(_LOGGER.name, level, "", 0, message, None, None)
        message = JsonLines().format(record)
    print(message, file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def verbosity(*, verbose: bool, quiet: bool, log_format: LogFormat = "text") -> Iterator[None]:
    """Set the amount and the form of output while the block runs.

    The limit is the handler's, so that other handlers of the logger, such as that of a flow run,
    have limits of their own.

    Args:
        verbose: Whether log lines are printed from DEBUG upwards; else from WARNING, or from INFO
            in JSON.
        quiet: Whether log lines below ERROR, progress and summaries are hidden.
        log_format: Form of the log lines: `text`, or `json` for one object per line.
    """
    global _is_quiet, _is_json
    before, level = (_is_quiet, _is_json), _LOGGER.level
    handler = _Stderr()
    usual = logging.INFO if log_format == "json" else logging.WARNING
    handler.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else usual)
    if log_format == "json":
        handler.setFormatter(JsonLines())
    elif verbose:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
        )
    _is_quiet, _is_json = quiet, log_format == "json"
    _LOGGER.setLevel(handler.level)
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
        _is_quiet, _is_json = before
