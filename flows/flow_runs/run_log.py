"""Log lines of assay in the log of a flow run, from its worker threads too."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler
from prefect.settings import get_current_settings

from ...data.errors import clean

_LOGGER: Final = logging.getLogger("assay")

_lock: Final = threading.Lock()
_open: Final[dict[UUID, _RunLog]] = {}


class _Clean(logging.Formatter):
    """Formatter of messages without secrets of URLs and without control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the message of a record."""
        return clean(super().formatMessage(record))


class _RunLog(APILogHandler):
    """Handler that sends the records of one flow run to the server.

    Threads that assay starts know no run. Their records belong to the run that was opened last,
    and are sent in its context, which names its server.
    """

    def __init__(self, flow_run_id: UUID) -> None:
        super().__init__()
        self.setFormatter(_Clean())
        self.flow_run_id = flow_run_id
        self.n_users = 0
        self._context = contextvars.copy_context()

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, if it belongs to this run."""
        current = current_flow_run_id()
        if current == self.flow_run_id:
            super().emit(record)
        elif current is None and next(reversed(_open), None) == self.flow_run_id:
            self._context.copy().run(super().emit, record)


def current_flow_run_id() -> UUID | None:
    """Return the id of the flow run that this thread works for, also in a task; None outside."""
    if task := TaskRunContext.get():
        return task.task_run.flow_run_id
    flow = FlowRunContext.get()
    return flow.flow_run.id if flow and flow.flow_run else None


@contextlib.contextmanager
def run_log() -> Iterator[None]:
    """Send assay's log lines to the log of the current flow run while the block runs.

    Lines are sent from Prefect's own level upwards (PREFECT_LOGGING_LEVEL, INFO by default), or
    from the command's, if that is lower. Blocks of one run may be nested and run side by side.
    """
    flow_run_id = current_flow_run_id()
    if flow_run_id is None or any(type(one) is APILogHandler for one in _LOGGER.handlers):
        yield  # no run, or Prefect sends them already, by its setting of extra loggers
        return
    with _lock:
        handler = _open.get(flow_run_id) or _opened(flow_run_id)
        handler.n_users += 1
    try:
        yield
    finally:
        with _lock:
            handler.n_users -= 1
            if not handler.n_users:
                del _open[flow_run_id]
                _LOGGER.removeHandler(handler)
                _settle_level()


# Level of the logger while no run is open.
_level_before = logging.NOTSET


def _opened(flow_run_id: UUID) -> _RunLog:
    global _level_before  # noqa: PLW0603
    if not _open:
        _level_before = _LOGGER.level
    handler = _open[flow_run_id] = _RunLog(flow_run_id)
    _LOGGER.addHandler(handler)
    _settle_level()
    return handler


def _settle_level() -> None:
    """Set the level that the log of an open run needs; other handlers have limits of their own."""
    wanted = logging.getLevelName(get_current_settings().logging.level)
    before = _level_before
    _LOGGER.setLevel(min(before, wanted) if before and _open else wanted if _open else before)
