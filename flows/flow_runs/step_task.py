"""A step as a Prefect task: named by its part of the work, retried, and with its log lines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from prefect.context import FlowRunContext, TaskRunContext
from prefect.tasks import Task
from prefect.utilities.annotations import quote

from ..request import Request
from .names import task_run_name
from .retrying import task_options
from .run_log import run_log

P = ParamSpec("P")
R = TypeVar("R")

# Prefect searches shorter arguments for results of other tasks; in longer ones that takes time.
_ITEMS_SEARCHED: Final = 1000


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


def step_task(name: str, step: Callable[P, R], run_name: Callable[..., str]) -> StepTask[P, R]:
    """Return a step as a task, with the retries of every task of assay.

    Args:
        name: Name of the task.
        step: Function of the step.
        run_name: Function from the arguments of a task run, passed as `parameters`, to its name.
    """

    # The flow may be another one's, and the task on a machine of its own: it opens the log itself.
    @functools.wraps(step)
    def logged(*args: P.args, **kwargs: P.kwargs) -> R:
        with run_log():
            return step(*args, **kwargs)

    options: dict[str, Any] = task_options() | {"task_run_name": run_name}
    return StepTask(fn=logged, name=name, **options)


def called_as_task(name: str, step: Callable[P, R]) -> Callable[P, R]:
    """Return a step of a run that is called as a Prefect task.

    A lake is passed to another process by its address, and opened there once per task. A request
    among the arguments may limit the time of the task.

    Args:
        name: Name of the task.
        step: Function of the step.
    """
    task: Any = step_task(name, step, task_run_name(name))

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # quote: no argument is the result of another task, and Prefect need not search for one.
        quoted = {key: quote(value) for key, value in kwargs.items()}
        limit_s = next((one.task_timeout_s for one in args if isinstance(one, Request)), None)
        limited = task.with_options(timeout_seconds=limit_s) if limit_s else task
        result: R = limited(*map(quote, args), **quoted)
        if (context := FlowRunContext.get()) is not None:
            # Prefect keeps the state of every result for the whole run, to find the result among
            # the arguments of later tasks; over thousands of tasks that is memory for nothing.
            context.run_results.clear()
        return result

    return call


def _quoted(value: Any) -> Any:
    is_long = isinstance(value, list | tuple | set | frozenset) and len(value) > _ITEMS_SEARCHED
    return quote(value) if is_long else value


def _quoted_values(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _quoted(value) for name, value in kwargs.items()}
