"""A moderation run on a schedule on one machine: a deployment, and a server if there is none."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..data.errors import ConfigError
from .prefect_home import configured_api_url, settle
from .request import Request

SERVER_START_TIMEOUT_S = 180.0


def serve(request: Request, *, cron: str | None, name: str = "assay-moderate") -> None:
    """Serves the moderation flow until interrupted; on a cron schedule if one is given.

    Without a schedule it waits for runs started from Prefect's pages or API. Runs never overlap:
    a second one waits, since both would write the same lake.

    Args:
        request: What each run does; its values are the deployment's defaults.
        cron: Five fields, in UTC, such as `0 * * * *`.
        name: Name of the deployment.

    Raises:
        ConfigError: The cron expression is wrong, or no server could be reached or started.
    """
    settle(quiet=False)
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.types.entrypoint import EntrypointType

    if cron is not None:
        _check_cron(cron)
    with _server() as url, temporary_settings({PREFECT_API_URL: url}):
        from .moderate import moderate

        parameters = request.params() | {
            key: list(getattr(request, key)) for key in ("sources", "include", "exclude")
        }
        print(  # noqa: T201
            f"Serving deployment assay-moderate/{name} ({cron or 'no schedule'}); "
            f"pages: {url.removesuffix('/api')}\n"
            f"Run it now:  prefect deployment run assay-moderate/{name}",
            file=sys.stderr,
            flush=True,
        )
        moderate.serve(
            name=name,
            cron=cron,
            parameters=parameters,
            tags=["assay"],
            global_limit=1,
            print_starting_message=False,
            # A file path would break the package's relative imports.
            entrypoint_type=EntrypointType.MODULE_PATH,
        )


def _check_cron(cron: str) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron)
    except ValueError as error:
        raise ConfigError(
            f"--cron {cron!r} is not a cron expression; five fields are wanted, "
            "such as '0 * * * *' for every full hour"
        ) from error


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """The configured server's API, else one of our own for as long as we serve."""
    url = configured_api_url() or _local_api_url()
    if _answers(url):
        yield url
        return
    if configured_api_url():
        raise ConfigError(
            f"no Prefect server answers at {url}; start it, or unset PREFECT_API_URL "
            "to let assay start one on this machine"
        )
    address = urlsplit(url)
    print(f"Starting a Prefect server at {url} ...", file=sys.stderr, flush=True)  # noqa: T201
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host", str(address.hostname), "--port", str(address.port)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + SERVER_START_TIMEOUT_S
        while not _answers(url):
            if server.poll() is not None or time.monotonic() > deadline_s:
                raise ConfigError(
                    f"the Prefect server at {url} did not start; "
                    "run 'prefect server start' to see why"
                )
            time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=15)


def _local_api_url() -> str:
    """Where a server of this machine listens, by the same settings that the server reads."""
    host = os.environ.get("PREFECT_SERVER_API_HOST", "127.0.0.1")
    return f"http://{host}:{os.environ.get('PREFECT_SERVER_API_PORT', '4200')}/api"


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/health", timeout=2.0).is_success
    except httpx.HTTPError:
        return False
