"""A step as a Prefect task that is a plain function outside flows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from prefect.context import FlowRunContext, TaskRunContext
from prefect.tasks import Task
from prefect.utilities.annotations import quote

from ...data.errors import shorten
from ...data.text.redaction import redact_url
from ..flow_runs.retrying import task_options
from ..plain import Batch

P = ParamSpec("P")
R = TypeVar("R")

# Prefect searches shorter arguments for results of other tasks; in longer ones that takes time.
_ITEMS_SEARCHED: Final = 1000
_NAME_CHARS: Final = 80


class StepTask(Task[P, R]):
    """Prefect task of a step; called outside a flow, it runs as a plain function.

    No run of it is recorded by Prefect then, and no server is needed.
    """

    # Signatures, for type checkers, are those of Task.
    if not TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """Run the step, as a task run within a flow."""
            if FlowRunContext.get() is None and TaskRunContext.get() is None:
                return self.fn(*args, **kwargs)
            return super().__call__(*map(_quoted, args), **_quoted_values(kwargs))

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            """Start the step as a concurrent task run of the flow."""
            return super().submit(*map(_quoted, args), **_quoted_values(kwargs))

        def with_options(self, **options: Any) -> Any:
            """Return the step with other options of `prefect.task`."""
            task = super().with_options(**options)
            task.__class__ = type(self)
            return task


def step_task(step: Callable[P, R]) -> StepTask[P, R]:
    """Return a step as a task, with the retries of every task of assay."""
    name = step.__name__

    def run_name(parameters: Mapping[str, Any]) -> str:
        first = next(iter(parameters.values()), None)
        return shorten(f"{name} {_subject(first)}", _NAME_CHARS)

    options: dict[str, Any] = task_options() | {"task_run_name": run_name}
    return StepTask(fn=step, name=name, **options)


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


def _quoted(value: Any) -> Any:
    is_long = isinstance(value, list | tuple | set | frozenset) and len(value) > _ITEMS_SEARCHED
    return quote(value) if is_long else value


def _quoted_values(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _quoted(value) for name, value in kwargs.items()}
