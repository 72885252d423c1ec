"""The one place through which the command prints: no escape code and no secret gets past it.

Names of files, cells of tables, answers of servers and texts of errors come from outside, and what
prints them should not have to remember that. So stdout and stderr are wrapped for as long as the
command runs. Bars and help are drawn by libraries on the streams beneath, see `unguarded`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from ...data.errors import OutputLost, clean

# Bars of libraries: back to the start of the line, up some lines.
_BAR_MOVES = re.compile(r"\r|\n*(?:\x1b\[A)+")


class GuardedStream:
    """A text stream that shows control characters as escapes and hides secrets of URLs.

    Args:
        inner: Stream that shows the text.
        may_be_lost: Whether a text that cannot be written is no error, as for messages: what is
            worked on goes on without them.

    Raises:
        OutputLost: From `write` and `flush`, where the text may not be lost.
    """

    def __init__(self, inner: TextIO, *, may_be_lost: bool = False) -> None:
        self.inner = inner
        self._may_be_lost = may_be_lost

    def write(self, text: str) -> int:
        """Write a text that steers nothing, in whatever characters the stream has."""
        moves = _BAR_MOVES.match(text) if self.inner.isatty() else None
        lead = moves[0] if moves is not None else ""
        shown = lead + clean(text[len(lead) :])
        with self._losses():
            try:
                self.inner.write(shown)
            except UnicodeEncodeError:
                encoding = self.inner.encoding or "ascii"
                self.inner.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        with self._losses():
            self.inner.flush()

    @contextlib.contextmanager
    def _losses(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._may_be_lost:
                return
            if isinstance(error, BrokenPipeError):
                raise
            raise OutputLost(
                f"stdout cannot be written: {error.strerror or error}; what the command did is"
                " done and kept, only what it had to say is lost"
            ) from error

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def open_closed_streams() -> None:
    """Give a process that was started with closed streams empty ones.

    Else the next file that is opened, such as a shard, takes the stream's number, and what a
    library prints goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python has None in the place of a stream that was closed.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def drop_output() -> None:
    """Throw away what stdout holds back and cannot write, which Python tries again at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        sys.stderr = cast("TextIO", GuardedStream(sys.stderr, may_be_lost=True))


def is_guarded() -> bool:
    """Whether the command runs, and not a notebook or a program that uses the package."""
    return isinstance(sys.stderr, GuardedStream)


def width_of_stdout() -> int | None:
    """Return the cells of a line of the terminal behind stdout; None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream beneath a guarded one, for what draws with escape codes of its own."""
    return stream.inner if isinstance(stream, GuardedStream) else stream
