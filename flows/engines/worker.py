"""The call of a step in a worker process."""

from __future__ import annotations

import pickle
from typing import Any

from ...data.errors import ConfigError, EngineError, brief
from ...version import __version__
from ..process.malloc import limit_arenas
from .protocol import Job

# What a step returned, or the error that it raised.
Answer = tuple[Any, BaseException | None]


def work(job: Job, version: str) -> Answer:
    """Call a job's step and return its result, or its error as a value.

    An engine wraps an error that is raised in a text of its own, and may try again what no further
    attempt can change. Only the death of a process is left to the engine.

    Args:
        job: Job of the driver.
        version: Version of assay in the driver.
    """
    limit_arenas()
    try:
        _require_version(version)
        return job.step(*job.args), None
    except Exception as error:  # noqa: BLE001 - the boundary between processes
        return None, _picklable(error)


def _require_version(version: str) -> None:
    if version != __version__:
        raise ConfigError(
            f"the driver has assay {version} and a worker has {__version__}; install the same"
            " version on every machine of the cluster"
        )


def answered(answer: Answer) -> Any:
    """Return the result of `work`.

    Raises:
        Exception: The step's error.
    """
    result, error = answer
    if error is not None:
        raise error
    return result


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - bytes of the line itself
    except Exception:  # noqa: BLE001 - any class of a library may fail in its own way
        return EngineError(f"a worker's step failed with {type(error).__name__}: {brief(error)}")
    return error
