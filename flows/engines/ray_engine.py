"""Ray as an engine: steps as plain remote functions, without a Prefect server on the workers."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any, Final

from ...data.errors import ConfigError, EngineError, brief
from ...version import __version__
from .protocol import RETRIES, WAKE_EVERY_S, Job, Ongoing, Placement
from .worker import answered, work

_log = logging.getLogger(__name__)

# Results are counts, so the store of objects may be far smaller than Ray's default of 30 % of RAM.
_OBJECT_STORE_BYTES: Final = 128 * 2**20


class RayEngine:
    """Workers of a Ray cluster, of this machine or at `ray://HOST:10001`.

    Args:
        placement: Address of the cluster, or size of the one to start.

    Raises:
        ConfigError: Ray is not installed, or the cluster cannot be reached.
        EngineError: Ray does not start.
    """

    def __init__(self, placement: Placement) -> None:
        # Ray reports usage to its makers by default; read as it starts.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                'runner ray needs the package ray; install it with: pip install "assay[ray]"'
            ) from error
        self._ray: Any = ray
        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if placement.address is None:
            quiet |= {
                "num_cpus": placement.n_processes * placement.n_threads,
                "object_store_memory": _OBJECT_STORE_BYTES,
                "include_dashboard": False,
            }
        try:
            # Without an address Ray would join any cluster of this machine, or look for one whose
            # file has outlived it.
            ray.init(placement.address or "local", **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"the Ray cluster at {placement.address or 'this machine'} cannot be used:"
                f" {brief(error)}; see docs/scale.md"
            ) from error
        except Exception as error:  # Ray's own class for a node that does not start in time
            raise EngineError(
                f"Ray has not started on {placement.address or 'this machine'}: {brief(error)}; run"
                " the same command again when the machine is less busy"
            ) from error
        _keep_off_stdout(ray)
        has: dict[str, float] = ray.cluster_resources()
        self.n_at_once = max(1, int(has.get("CPU", 1) // placement.n_threads))
        wants_gpu = placement.device == "cuda" or (placement.device == "auto" and has.get("GPU"))
        self._n_gpus = 1 if wants_gpu else 0
        # Errors of steps are values, see `work`: Ray tries again only where a process has died.
        self._remote: Any = ray.remote(
            num_cpus=placement.n_threads, max_retries=RETRIES, retry_exceptions=False
        )(work)

    def start(self, job: Job) -> Ongoing:
        """Send a job to the workers and return at once."""
        n_gpus = self._n_gpus if job.uses_network else 0
        remote = self._remote.options(num_gpus=n_gpus, name=job.step.__name__)
        return _RayJob(self._ray, remote.remote(job, __version__))

    def close(self) -> None:
        """Leave the cluster, and end it if this process has started it."""
        self._ray.shutdown()


def _keep_off_stdout(ray: Any) -> None:
    """Log what Ray tells of its workers' deaths, which it prints on stdout, the place of data."""

    def log(data: dict[str, Any], *_args: object, **_settings: object) -> None:
        _log.warning("Ray: %s", " ".join(map(str, data.get("lines", ()))))

    ray._private.worker.print_to_stdstream = log


@dataclass(frozen=True, slots=True)
class _RayJob:
    """A job of a Ray cluster and the reference to its result."""

    ray: Any
    ref: Any

    def result(self) -> Any:
        """Return what the worker's call returned; wait for it."""
        while not self.ray.wait([self.ref], timeout=WAKE_EVERY_S)[0]:
            pass
        try:
            answer = self.ray.get(self.ref)
        except self.ray.exceptions.RayError as error:
            raise EngineError(
                f"Ray lost a task, in {RETRIES + 1} attempts or with its cluster: {brief(error)};"
                " committed work is kept, and the same command resumes"
            ) from error
        return answered(answer)

    def cancel(self) -> None:
        """Stop the job as Ctrl-C does, so that its step commits what it has finished."""
        self.ray.cancel(self.ref, force=False)
