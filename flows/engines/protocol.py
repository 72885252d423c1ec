"""The engine protocol: a cluster whose workers call the steps of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ...data.errors import ConfigError
from ...data.machine import n_cores
from ..request import Request

# Attempts after the death of a worker. More would be an image that ends each process that reads it.
RETRIES: Final = 3
# A wait without a timeout ignores Ctrl-C once a library has made the signal restart system calls.
WAKE_EVERY_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call of a step by a worker.

    Attributes:
        step: Function of a module that workers can import.
        args: Arguments: references, no pixels.
        uses_network: Whether the step runs the detector's network, and so uses a GPU if there is
            one.
    """

    step: Callable[..., Any]
    args: tuple[Any, ...]
    uses_network: bool


class Ongoing(Protocol):
    """A job that a worker does or will do."""

    def result(self) -> Any:
        """Return what the worker's call returned; wait for it.

        Raises:
            EngineError: The worker died with this job, several times.
        """
        ...

    def cancel(self) -> None:
        """Drop the job, or stop it where the engine can; what it has committed is kept."""
        ...


class Engine(Protocol):
    """A cluster.

    Attributes:
        n_at_once: Number of jobs that its workers do at once.
    """

    n_at_once: int

    def start(self, job: Job) -> Ongoing:
        """Send a job to the workers and return at once."""
        ...

    def close(self) -> None:
        """Leave the cluster, and end it if this process has started it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The part of a request that says where its tasks are done.

    Attributes:
        runner: Name of the engine.
        address: Address of a running cluster; None for a cluster of this machine.
        n_processes: Number of worker processes of a cluster of this machine.
        n_threads: Number of threads of one task.
        device: Device of the detector, as requested.
    """

    runner: str
    address: str | None
    n_processes: int
    n_threads: int
    device: str

    @classmethod
    def of(cls, request: Request) -> Placement:
        """Return the placement that a request asks for.

        Raises:
            ConfigError: The request names an address and no engine, or one GPU of several.
        """
        if request.runner == "threads" and request.runner_address is not None:
            raise ConfigError(
                f"runner-address is {request.runner_address!r} and runner is threads; name the"
                " engine of that cluster: --runner ray or --runner dask"
            )
        if request.runner != "threads" and ":" in request.device:
            raise ConfigError(
                f"device is {request.device!r} and runner is {request.runner}, which gives each"
                f" task a GPU of its own; allowed: auto, {request.device.partition(':')[0]}, cpu"
            )
        n_processes = request.runner_workers or n_cores()
        share = 1 if request.runner_address else max(1, n_cores() // n_processes)
        return cls(
            runner=request.runner,
            address=request.runner_address,
            n_processes=n_processes,
            n_threads=request.n_workers or share,
            device=request.device,
        )
