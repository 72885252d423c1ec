"""Log lines as JSON objects, one per line, for machines that collect them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from ...data.errors import clean

_run_id: str | None = None


def begin_run(run_id: str) -> None:
    """Name the run of this process's log lines from here on.

    It is a plain global instead of a context variable, since worker threads must see it too.
    """
    global _run_id  # noqa: PLW0603
    _run_id = run_id


class JsonLines(logging.Formatter):
    """Formatter that gives one JSON object per record.

    Keys: time (ISO 8601, UTC), level, logger, message, run_id (null outside a run), fields (what
    the message counts or names, by name), and exception, if the record has one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": clean(record.getMessage()),
            "run_id": _run_id,
            "fields": getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
