"""The one place through which the command prints: no escape code and no secret gets past it.

Names of files, cells of tables, answers of servers and texts of errors come from outside, and what
prints them should not have to remember that. So stdout and stderr are wrapped for as long as the
command runs. Bars and help are drawn by libraries on the streams beneath, see `unguarded`.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from ..data.errors import clean

# Bars of libraries: back to the start of the line, up some lines.
_BAR_MOVES = re.compile(r"\r|\n*(?:\x1b\[A)+")


class GuardedStream:
    """A text stream that shows control characters as escapes and hides secrets of URLs."""

    def __init__(self, inner: TextIO) -> None:
        self.inner = inner

    def write(self, text: str) -> int:
        """Write a text that steers nothing, in whatever characters the stream has."""
        moves = _BAR_MOVES.match(text) if self.inner.isatty() else None
        lead = moves[0] if moves is not None else ""
        shown = lead + clean(text[len(lead) :])
        try:
            self.inner.write(shown)
        except UnicodeEncodeError:
            encoding = self.inner.encoding or "ascii"
            self.inner.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Guard stdout and stderr while the block runs."""
    before = sys.stdout, sys.stderr
    guard()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def guard() -> None:
    """Guard stdout and stderr as they are now, also where a library has put itself before them."""
    if not isinstance(sys.stdout, GuardedStream):
        sys.stdout = cast("TextIO", GuardedStream(sys.stdout))
    if not isinstance(sys.stderr, GuardedStream):
        sys.stderr = cast("TextIO", GuardedStream(sys.stderr))


def is_guarded() -> bool:
    """Whether the command runs, and not a notebook or a program that uses the package."""
    return isinstance(sys.stderr, GuardedStream)


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream beneath a guarded one, for what draws with escape codes of its own."""
    return stream.inner if isinstance(stream, GuardedStream) else stream
