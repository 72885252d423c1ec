"""The steps of `flows.plain` as Prefect tasks, with the same names and signatures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .. import plain
from ..events.event import Event, batch_ingested, dataset_published, drift_of_step
from ..events.send import emit
from ..flow_runs.run_log import current_flow_run_id
from ..flow_runs.step_task import StepTask, step_task
from ..process.prefect_home import settle_temporary_server
from .subjects import named_by_subject

P = ParamSpec("P")
R = TypeVar("R")

settle_temporary_server()


def _task(step: Callable[P, R]) -> StepTask[P, R]:
    return step_task(step.__name__, step, named_by_subject(step.__name__))


def _announced(step: Callable[P, R], event_of: Callable[[R], Event | None]) -> Callable[P, R]:
    """Return a step that emits the event of its result, if there is one and it runs in a flow."""

    @functools.wraps(step)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        result = step(*args, **kwargs)
        event = event_of(result)
        if event is not None and current_flow_run_id() is not None:
            emit(event)
        return result

    return call


ingest = _task(_announced(plain.ingest, lambda batch: batch_ingested(batch, "ingest")))
score = _task(plain.score)
decide = _task(plain.decide)
drift = _task(_announced(plain.drift, drift_of_step))
augment = _task(plain.augment)
report = _task(plain.report)
publish = _task(
    _announced(plain.publish, lambda dataset: dataset_published(dataset, lake=dataset.lake))
)
