"""Dask as an engine: steps as futures of a distributed client."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import Any, Final

from ...data.errors import ConfigError, EngineError, brief
from ...version import __version__
from .protocol import RETRIES, WAKE_EVERY_S, Job, Ongoing, Placement
from .worker import Answer, answered, work

_START_S: Final = 60


class DaskEngine:
    """Workers of a Dask cluster, of this machine or at `tcp://HOST:8786`.

    Args:
        placement: Address of the scheduler, or size of the cluster to start.

    Raises:
        ConfigError: Dask is not installed, or the scheduler cannot be reached or has no worker.
    """

    def __init__(self, placement: Placement) -> None:
        try:
            import dask
            import distributed
        except ImportError as error:
            raise ConfigError(
                'runner dask needs the package distributed; install it: pip install "assay[dask]"'
            ) from error
        dask.config.set({"distributed.scheduler.allowed-failures": RETRIES})
        self._cluster: Any = None
        try:
            if placement.address is None:
                self._cluster = distributed.LocalCluster(
                    n_workers=placement.n_processes,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    # Memory is bounded by the steps; a limit here would end workers at 70 %.
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )
            self._client: Any = distributed.Client(
                self._cluster or placement.address, timeout=_START_S, set_as_default=False
            )
            self._client.wait_for_workers(1, timeout=_START_S)
        except (OSError, ValueError, TimeoutError, RuntimeError) as error:
            raise ConfigError(
                f"the Dask cluster at {placement.address or 'this machine'} cannot be used:"
                f" {brief(error)}; see docs/scale.md"
            ) from error
        workers = list(self._client.scheduler_info(n_workers=-1)["workers"].values())
        self.n_at_once = max(1, sum(worker["nthreads"] for worker in workers))
        offered = {name for worker in workers for name in worker["resources"]}
        self._cpus = {"CPU": placement.n_threads} if "CPU" in offered else {}
        wants_gpu = placement.device == "cuda" or (placement.device == "auto" and "GPU" in offered)
        self._gpus = {"GPU": 1} if wants_gpu else {}

    def start(self, job: Job) -> Ongoing:
        """Send a job to the workers and return at once."""
        resources = self._cpus | (self._gpus if job.uses_network else {})
        return _DaskJob(
            self._client.submit(work, job, __version__, pure=False, resources=resources or None)
        )

    def close(self) -> None:
        """Leave the cluster, and end it if this process has started it."""
        with contextlib.suppress(OSError, TimeoutError):
            self._client.close()
            if self._cluster is not None:
                self._cluster.close()


@dataclass(frozen=True, slots=True)
class _DaskJob:
    """A job of a Dask cluster and its future."""

    future: Any

    def result(self) -> Any:
        """Return what the worker's call returned; wait for it."""
        try:
            answer = self._wait()
        except Exception as error:
            # Errors of steps are values, see `work`.
            raise EngineError(
                f"Dask lost a task, in {RETRIES + 1} attempts or with its cluster: {brief(error)};"
                " committed work is kept, and the same command resumes"
            ) from error
        finally:
            # The scheduler does a task again whose result a client holds and a dead worker had.
            self.future.release()
        return answered(answer)

    def _wait(self) -> Answer:
        # `result(timeout=...)` fails now and then where the answer comes as the time is up.
        done = threading.Event()
        self.future.add_done_callback(lambda _future: done.set())
        while not done.wait(WAKE_EVERY_S):
            pass
        answer: Answer = self.future.result()
        return answer

    def cancel(self) -> None:
        """Drop the job; one that has begun is finished and committed."""
        self.future.cancel()
