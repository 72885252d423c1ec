"""Names of the task runs of steps in flows of others: each says what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Final

from ...data.errors import shorten
from ...data.text.redaction import redact_url
from ..plain import Batch

_NAME_CHARS: Final = 80


def named_by_subject(name: str) -> Callable[..., str]:
    """Return the function that names the task runs of a step by its first argument.

    Args:
        name: Name of the step.
    """

    # Prefect passes the arguments of the task by this name.
    def run_name(parameters: Mapping[str, Any]) -> str:
        first = next(iter(parameters.values()), None)
        return shorten(f"{name} {_subject(first)}", _NAME_CHARS)

    return run_name


def _subject(value: Any) -> str:
    """Return what a run is about: its source, its batch, its plan or the lake."""
    if isinstance(value, Batch):
        return value.batch_id or "the lake"
    if isinstance(value, str | PathLike):
        return redact_url(str(value))
    if isinstance(value, Sequence) and value:
        more = f" and {len(value) - 1:,} more" if len(value) > 1 else ""
        return f"{_subject(value[0])}{more}"
    return "a plan" if isinstance(value, Mapping) else "the lake"
