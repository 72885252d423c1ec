"""The retry policy of every Prefect task: stores and networks are tried again, bad input never is.

Flows are not retried: Prefect runs a retried flow from its first step, and ends it as Crashed where
its deployment has a concurrency limit.
"""

from __future__ import annotations

import errno
import random
from typing import Any, Final

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from ...data.errors import AssayError, CommitConflict, StoreError
from ...data.store.retry import is_cut_off

# A retry changes nothing about these: a person has to.
_PERMANENT: Final = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)


def is_transient(error: BaseException) -> bool:
    """Return whether a retry may help: for disks, networks and other writers, not bad input."""
    if isinstance(error, CommitConflict):
        return True
    if isinstance(error, StoreError):
        return error.__cause__ is not None and is_transient(error.__cause__)
    if isinstance(error, AssayError):
        return False
    if isinstance(error, OSError):
        return error.errno not in _PERMANENT and not isinstance(
            error, (FileNotFoundError, FileExistsError, PermissionError)
        )
    return is_cut_off(error)


def may_pass(_task: Task[..., Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Return whether the failure of a task run is transient."""
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, BaseException) and is_transient(failure)


def waits_s(retries: int) -> list[float]:
    """Return the wait before each retry, in seconds: from two on doubled, and up to half longer.

    They are drawn once per process, so that runs whose commits met do not meet again. Prefect's own
    jitter (`retry_jitter_factor`) is recorded with a task run, and not applied by its engine.
    """
    return [2.0 * 2**number * random.uniform(1.0, 1.5) for number in range(retries)]  # noqa: S311


def task_options() -> dict[str, Any]:
    """Return the options of `prefect.task` that every task of assay has in common."""
    return {
        # The tables determine what is known; a cached count could outlive its rows.
        "cache_policy": NO_CACHE,
        "retries": 3,
        "retry_delay_seconds": waits_s,
        "retry_condition_fn": may_pass,
    }
