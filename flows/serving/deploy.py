"""Registration of a deployment on a Prefect server, and of its work pool if there is none."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...data.errors import ConfigError
from ...version import __version__
from ..process.prefect_home import configured_api_url, require_settings, settle
from .deployment import ENTRYPOINTS, Deployment, check_image, runs_in_containers
from .prefect_server import pages_of, require_server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The result of a registration.

    Attributes:
        deployment: Deployment that is registered.
        deployment_id: Id on the server.
        created: Whether it is new; otherwise one of this name was replaced.
        pool_type: Type of its work pool.
        pool_created: Whether the work pool is new.
        pages: Address of the server's pages.
    """

    deployment: Deployment
    deployment_id: str
    created: bool
    pool_type: str
    pool_created: bool
    pages: str

    def commands(self) -> list[str]:
        """Return the commands to run next, quoted for a shell: a worker, and a run now."""
        prefect = "prefect" if shutil.which("prefect") else f"{sys.executable} -m prefect"
        pool = shlex.quote(self.deployment.pool)
        return [
            f"{prefect} worker start --pool {pool} --type {self.pool_type}",
            f"{prefect} deployment run {shlex.quote(self.deployment.full_name)}",
        ]

    def summary(self) -> str:
        """Return the result as text, with the commands to run next."""
        asked = self.deployment
        others = "wait" if asked.on_collision == "enqueue" else "are cancelled"
        pool = f"{asked.pool} ({self.pool_type}{', created' if self.pool_created else ''})"
        return "\n".join(
            [
                f"{'deployed' if self.created else 'updated'}    {asked.full_name}",
                f"version     {__version__}",
                f"schedule    {asked.schedule or 'none: runs are started by request'}",
                f"at a time   {asked.concurrency}; further runs {others}",
                f"work pool   {pool}",
                f"pages       {self.pages}/deployments/deployment/{self.deployment_id}",
                "next",
                *(f"  {line}" for line in self.commands()),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return self.deployment.to_prefect() | {
            "deployment": self.deployment.full_name,
            "deployment_id": self.deployment_id,
            "created": self.created,
            "pool_type": self.pool_type,
            "pool_created": self.pool_created,
            "next": self.commands(),
        }


def deploy(deployment: Deployment, *, pool_type: str | None = None) -> Deployed:
    """Register a deployment on the configured Prefect server.

    The same deployment registered again keeps its id, its history and the times of its schedule.

    Args:
        deployment: Deployment to register.
        pool_type: Type of the work pool; None: that of the pool, or `process` for a new one.

    Raises:
        ConfigError: No server is configured or answers, the name is served by another process, or
            the work pool has another type.
    """
    settle(quiet=True)
    require_settings()
    url = configured_api_url()
    if url is None:
        raise ConfigError(
            "no Prefect server is configured; start one with 'prefect server start' and set"
            " PREFECT_API_URL=http://127.0.0.1:4200/api, or use 'assay serve', which needs none"
        )
    require_server(url)
    from prefect.client.orchestration import get_client

    flow = _flow(deployment)
    with get_client(sync_client=True) as client:
        before = _found(client, deployment)
        type_, pool_created = _pool(client, deployment, pool_type)
        deployment_id = _register(flow, deployment)
    return Deployed(
        deployment=deployment,
        deployment_id=str(deployment_id),
        created=before is None,
        pool_type=type_,
        pool_created=pool_created,
        pages=pages_of(url),
    )


def _flow(deployment: Deployment) -> Any:
    """Return the flow of a deployment; it accepts the parameters.

    Raises:
        ConfigError: A parameter is not allowed.
    """
    from prefect.exceptions import ParameterTypeError, SignatureMismatchError

    module, _, name = ENTRYPOINTS[deployment.verb].removeprefix("assay.").rpartition(".")
    package = __package__.removesuffix(".flows.serving")
    flow = getattr(import_module(f"{package}.{module}"), name)
    try:
        flow.validate_parameters(dict(deployment.parameters))
    except (ParameterTypeError, SignatureMismatchError) as error:
        raise ConfigError(f"{deployment.flow_name} does not accept this: {error}") from error
    return flow


def _found(client: SyncPrefectClient, deployment: Deployment) -> Any:
    """Return the deployment of this name on the server, or None.

    Raises:
        ConfigError: `assay serve` serves the name.
    """
    from prefect.exceptions import ObjectNotFound

    try:
        found = client.read_deployment_by_name(deployment.full_name)
    except ObjectNotFound:
        return None
    is_served = str(getattr(found.status, "value", found.status)).upper() == "READY"
    if is_served and found.work_pool_name is None:
        raise ConfigError(
            f"{deployment.full_name} is served by 'assay serve'; pass another --name, or stop that"
            " process and wait a minute"
        )
    return found


def _pool(
    client: SyncPrefectClient, deployment: Deployment, pool_type: str | None
) -> tuple[str, bool]:
    """Return the type of the work pool, and whether it was created.

    Raises:
        ConfigError: The pool has another type, or Prefect does not know the type.
    """
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    name = deployment.pool
    try:
        found: str | None = client.read_work_pool(name).type
    except ObjectNotFound:
        found = None
    if found is not None and pool_type not in {None, found}:
        raise ConfigError(
            f"work pool {name!r} is of type {found}, not {pool_type}; name another --pool, or leave"
            " --pool-type out"
        )
    if pool_type is None and runs_in_containers(found):
        raise ConfigError(
            f"work pool {name!r} is of type {found}, whose runs see other folders than this"
            f" machine; pass --pool-type {found}, and paths as the container sees them"
        )
    type_ = found or pool_type or "process"
    check_image(type_, deployment.job_variables)
    if found is None:
        client.create_work_pool(
            WorkPoolCreate(name=name, type=type_, base_job_template=_template(type_))
        )
    return type_, found is None


def _template(pool_type: str) -> dict[str, Any]:
    """Return the template of jobs of a type of work pools.

    Raises:
        ConfigError: Neither Prefect nor its server knows the type.
    """
    from prefect.utilities.asyncutils import run_coro_as_sync
    from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

    found = run_coro_as_sync(get_default_base_job_template_for_infrastructure_type(pool_type))
    if not found:
        raise ConfigError(
            f"Prefect knows no work pools of type {pool_type!r}; install the package of its worker"
            f" (pip install prefect-{pool_type}), or create the pool with prefect work-pool create"
        )
    return dict(found)


def _register(flow: Any, deployment: Deployment) -> Any:
    """Create or replace a deployment, and return its id."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, VersionInfo
    from prefect.deployments.runner import DeploymentApplyError
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.types.entrypoint import EntrypointType

    entry: Mapping[str, Any] = deployment.to_prefect()
    registered = flow.to_deployment(
        name=deployment.name,
        description=deployment.description,
        version=__version__,
        tags=deployment.tags,
        parameters=dict(deployment.parameters),
        schedules=[] if deployment.schedule is None else [deployment.schedule.for_client()],
        concurrency_limit=ConcurrencyLimitConfig(**entry["concurrency_limit"]),
        work_pool_name=deployment.pool,
        job_variables=dict(deployment.job_variables),
        # A file path would break the package's relative imports.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    try:
        # Prefect would otherwise send the commit of whatever repository this folder lies in.
        return registered.apply(
            version_info=VersionInfo(type="prefect:simple", version=__version__)
        )
    except (DeploymentApplyError, PrefectHTTPStatusError) as error:
        raise ConfigError(f"the Prefect server refuses {deployment.full_name}: {error}") from error
