"""One line instead of a traceback when Ctrl-C stops a call, in a script and in a notebook.

The exception itself goes on, so that a script stops and a cell does not count as done.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

from ..process.cells import interrupts_in_one_line
from ..process.signals import farewell

_LINE: Final = "_assay_line"


@contextlib.contextmanager
def told_when_stopped() -> Iterator[None]:
    """Let an interrupt within the block be shown as one line that says what is kept."""
    try:
        with interrupts_in_one_line():
            yield
    except KeyboardInterrupt as error:
        setattr(error, _LINE, farewell(error).replace("the same command", "the same call"))
        if not isinstance(sys.excepthook, _Hook):
            sys.excepthook = _Hook(sys.excepthook)
        raise


class _Hook:
    """Hook of unhandled exceptions: the line of a stopped call, or the hook before.

    Args:
        before: Hook that shows all other exceptions.
    """

    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Show an exception that nothing has handled."""
        line = getattr(error, _LINE, None)
        if line is None:
            self._before(kind, error, trace)
        else:
            sys.stderr.write(f"assay: {line}\n")
            atexit.register(_end_by_signal)


def _end_by_signal() -> None:
    """Let the process end by SIGINT, and not with exit code 1.

    CPython does so if Ctrl-C ended the text of code that ran last. Threads that still work may have
    run another since, as each import of a dataclass does; they have ended when this is called.
    """
    with contextlib.suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")  # noqa: S102 - the only way to say it
