"""A step as a Prefect task: named by its part of the work, retried, and with its log lines."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.utilities.annotations import quote

from ..request import Request
from .names import task_run_name
from .retrying import task_options
from .run_log import run_log

P = ParamSpec("P")
R = TypeVar("R")


def step_task(name: str, step: Callable[P, R]) -> Callable[P, R]:
    """Return a step that is called as a Prefect task.

    A lake is passed to another process by its address, and opened there once per task. A request
    among the arguments may limit the time of the task.

    Args:
        name: Name of the task.
        step: Function of the step.
    """

    # On a machine of its own, a task opens the run's log itself.
    @functools.wraps(step)
    def logged(*args: P.args, **kwargs: P.kwargs) -> R:
        with run_log():
            return step(*args, **kwargs)

    prefect_task: Any = task(name=name, task_run_name=task_run_name(name), **task_options())(logged)

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # quote: Prefect would otherwise search a thousand items for futures.
        quoted = {key: quote(value) for key, value in kwargs.items()}
        limit_s = next((one.task_timeout_s for one in args if isinstance(one, Request)), None)
        limited = prefect_task.with_options(timeout_seconds=limit_s) if limit_s else prefect_task
        result: R = limited(*map(quote, args), **quoted)
        return result

    return call
