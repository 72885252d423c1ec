"""Filter of the command's output: no escape code and no secret reaches stdout or stderr.

Names of files, cells of tables, responses of servers and texts of errors are not trusted. stdout
and stderr are wrapped while the command runs, so that callers need not sanitise them. Progress bars
and help are drawn by libraries on the streams below, see `unguarded`.
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

# Cursor moves of progress bars: to the start of the line, and up.
_BAR_MOVES = re.compile(r"\r|\n*(?:\x1b\[A)+")


class GuardedStream:
    """Text stream that escapes control characters and redacts secrets of URLs.

    Args:
        inner: Stream that receives the text.
        may_be_lost: Whether failed writes are ignored, as for messages, which must not stop the
            work.

    Raises:
        OutputLost: From `write` and `flush`, if the text must not be lost.
    """

    def __init__(self, inner: TextIO, *, may_be_lost: bool = False) -> None:
        self.inner = inner
        self._may_be_lost = may_be_lost

    def write(self, text: str) -> int:
        """Write a text without control characters, in the stream's encoding."""
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
        """Flush the stream."""
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
                f"stdout cannot be written: {error.strerror or error}; the command's work is"
                " complete and kept, only its output is lost"
            ) from error

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def open_closed_streams() -> None:
    """Open null streams if the process was started with closed ones.

    Otherwise the next file that is opened, such as a shard, gets the stream's number, and receives
    what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python sets a closed stream to None.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def drop_output() -> None:
    """Discard buffered output that cannot be written, which Python would retry at exit."""
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
    """Guard the current stdout and stderr, also after a library has replaced them."""
    if not isinstance(sys.stdout, GuardedStream):
        sys.stdout = cast("TextIO", GuardedStream(sys.stdout))
    if not isinstance(sys.stderr, GuardedStream):
        sys.stderr = cast("TextIO", GuardedStream(sys.stderr, may_be_lost=True))


def is_guarded() -> bool:
    """Return whether the command runs, as opposed to a notebook or another program."""
    return isinstance(sys.stderr, GuardedStream)


def width_of_stdout() -> int | None:
    """Return the cells of a line of the terminal behind stdout; None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream below a guarded one, for libraries that draw with escape codes."""
    return stream.inner if isinstance(stream, GuardedStream) else stream
