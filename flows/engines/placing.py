"""Steps that are done where their request says, and the tasks that are in flight.

A step is called as ever: `score_step(lake, request, ...)`. Where the request names an engine, the
call is handed to a worker, which calls the same function with `runner="threads"`. `ahead` hands on
the next calls of a run before they are made, so that workers are busy while the driver takes the
results in order.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from .. import progress
from ..request import Request
from .protocol import Engine, Job, Ongoing, Placement

P = ParamSpec("P")
R = TypeVar("R")
Args = TypeVar("Args", bound=tuple[Any, ...])
Step = Callable[Concatenate[Lake, Request, P], R]

# Two tasks per worker: one that is done, and one that waits for its end.
IN_FLIGHT_PER_WORKER = 2

_log = logging.getLogger(__name__)
_started: dict[tuple[object, ...], Ongoing] = {}


def placed(*, uses_network: bool = True) -> Callable[[Step[P, R]], Step[P, R]]:
    """Return a decorator of steps that are done where their request says.

    Args:
        uses_network: Whether the step runs the detector's network.
    """

    def decorate(step: Step[P, R]) -> Step[P, R]:
        @functools.wraps(step)
        def call(lake: Lake, request: Request, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if request.runner == "threads":
                return step(lake, request, *args, **kwargs)
            ongoing = _started.pop(_key(call, args), None)
            if ongoing is None:
                ongoing = _start(call, (lake, request, *args), uses_network=uses_network)
            try:
                result: R = ongoing.result()
            except BaseException:
                ongoing.cancel()
                raise
            if args and isinstance(args[-1], list):
                progress.current().advance(len(args[-1]))
            return result

        call.__dict__["uses_network"] = uses_network
        return call

    return decorate


def ahead(
    step: Callable[..., Any], request: Request, calls: Iterable[Args]
) -> Generator[Args, None, None]:
    """Yield the arguments of a step's calls in order, with the next calls in flight.

    The driver holds the arguments of the calls in flight and nothing of earlier ones, so that its
    memory does not grow with their number.

    Args:
        step: Step of `placed`; the caller calls it with what is yielded.
        request: Settings of the run.
        calls: Arguments, drawn as there is room for a further call in flight.

    Raises:
        ConfigError: The engine is not installed or cannot be reached.
    """
    if request.runner == "threads":
        yield from calls
        return
    n_in_flight = request.tasks_in_flight or IN_FLIGHT_PER_WORKER * engine_of(request).n_at_once
    waiting: deque[Args] = deque()
    uses_network = step.__dict__["uses_network"]
    try:
        for args in calls:
            _started[_key(step, args[2:])] = _start(step, args, uses_network=uses_network)
            waiting.append(args)
            if len(waiting) >= n_in_flight:
                yield waiting[0]
                waiting.popleft()
        while waiting:
            yield waiting[0]
            waiting.popleft()
    finally:
        for args in waiting:
            if (ongoing := _started.pop(_key(step, args[2:]), None)) is not None:
                ongoing.cancel()


def engine_of(request: Request) -> Engine:
    """Return the engine of a request: started once per process, kept for its later runs.

    Raises:
        ConfigError: The engine is not installed or cannot be reached.
    """
    return _engine(Placement.of(request))


def close_engines() -> None:
    """Leave all clusters, and end those of this process."""
    while _open:
        _open.pop().close()
    _engine.cache_clear()


_open: list[Engine] = []


@functools.lru_cache(maxsize=1)
def _engine(placement: Placement) -> Engine:
    while _open:  # a process is in one cluster of a kind at a time
        _open.pop().close()
    _log.info("starting %s", placement)
    if placement.runner == "ray":
        from .ray_engine import RayEngine

        engine: Engine = RayEngine(placement)
    elif placement.runner == "dask":
        from .dask_engine import DaskEngine

        engine = DaskEngine(placement)
    else:
        raise ConfigError(f"runner {placement.runner!r} is no engine; allowed: ray, dask")
    _open.append(engine)
    return engine


def _start(step: Callable[..., Any], args: tuple[Any, ...], *, uses_network: bool) -> Ongoing:
    lake, request, *rest = args
    job = Job(step=step, args=(lake, _on_worker(request), *rest), uses_network=uses_network)
    return engine_of(request).start(job)


@functools.lru_cache(maxsize=4)
def _on_worker(request: Request) -> Request:
    """Return the settings with which a worker does a task of a request."""
    n_threads = Placement.of(request).n_threads
    return request.absolute().changed(runner="threads", runner_address=None, n_workers=n_threads)


def _key(step: Callable[..., Any], args: tuple[Any, ...]) -> tuple[object, ...]:
    """Return what tells a call in flight from others: its names, and its first image."""
    *names, last = args or (None,)
    first = last[0] if isinstance(last, list) and last and isinstance(last[0], str) else None
    return step.__name__, *names, first
