"""Scheduled moderation on one machine: a deployment, and a server if none is configured."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from ...data.errors import ConfigError
from ...data.text.redaction import redact_url
from ...version import __version__
from ..process.prefect_home import configured_api_url, require_settings, settle
from ..request import Request
from ..served import announce, with_roots
from .deployment import default_name
from .ending import runs_ended_first
from .prefect_server import asks_for_login, own_server, require_server
from .schedule import Schedule

FLOW = "assay-moderate"


def serve(request: Request, *, schedule: Schedule | None, name: str | None = None) -> None:
    """Serve the moderation flow until interrupted, on a schedule if one is given.

    Without a schedule, runs are started from Prefect's pages or API. Runs never overlap, since they
    would write the same lake. A run may choose sources below the request's roots, and few other
    settings; see `served`.

    Args:
        request: Settings of each run, and defaults of the deployment.
        schedule: Schedule; None if runs are started by request only.
        name: Name of the deployment [default: the first source and a hash of sources and lake].

    Raises:
        ConfigError: No server can be reached or started, another process serves other settings
            under the name, or it is deployed to a work pool.
        AssayError: A run of this request could not start.
        Terminated: SIGTERM was received, and the runs have ended.
    """
    settle(quiet=False)
    require_settings()
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
    from prefect.types.entrypoint import EntrypointType

    from ..run import check

    request = with_roots(request.absolute())
    check(request)
    name = name or name_of(request)
    parameters = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in request.params().items()
    }
    with _server() as (url, login_file):
        settings: dict[Any, Any] = {PREFECT_API_URL: url}
        login = os.environ.get("PREFECT_API_AUTH_STRING") if login_file else None
        if login is not None:
            settings[PREFECT_API_AUTH_STRING] = login
        with temporary_settings(settings):
            require_server(url)
            _require_free(name, parameters)
            announce(request)
            print(_words(name, schedule, url, login_file, request), file=sys.stderr, flush=True)  # noqa: T201
            from ..moderate import moderate

            with runs_ended_first():
                moderate.serve(
                    name=name,
                    schedules=[] if schedule is None else [schedule.for_client()],
                    version=__version__,
                    parameters=parameters,
                    tags=["assay"],
                    global_limit=1,
                    print_starting_message=False,
                    # A file path would break the package's relative imports.
                    entrypoint_type=EntrypointType.MODULE_PATH,
                )


def name_of(request: Request) -> str:
    """Return a deployment's name that is unique to its sources and lake."""
    params = request.params()
    first = params["sources"][0] if params["sources"] else ""
    return default_name([params["sources"], params["lake"]], first)


def _words(
    name: str, schedule: Schedule | None, url: str, login_file: Path | None, request: Request
) -> str:
    run_it = f"prefect deployment run {shlex.quote(f'{FLOW}/{name}')}"
    lines = [
        f"Serving deployment {FLOW}/{name} ({schedule or 'no schedule'}); "
        f"pages: {redact_url(url).removesuffix('/api')}",
        f"Runs may read: {', '.join(request.roots) or 'the given URLs only'}",
    ]
    if login_file is not None:
        where = shlex.quote(str(login_file))
        lines.append(f"The pages require a login: the line in {where} (readable by you only)")
        run_it = f'PREFECT_API_AUTH_STRING="$(cat {where})" {run_it}'
    if configured_api_url() is None:
        run_it = f"PREFECT_API_URL={url} {run_it}"
    return "\n".join([*lines, f"Run it now:  {run_it}"])


def _require_free(name: str, parameters: dict[str, Any]) -> None:
    """Check that no other process serves other settings under a name.

    Raises:
        ConfigError: The name is in use.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(f"{FLOW}/{name}")
        except ObjectNotFound:
            return
    if found.work_pool_name is not None:
        raise ConfigError(
            f"{FLOW}/{name} is deployed to the work pool {found.work_pool_name!r}; pass another"
            f" --name, or delete it: prefect deployment delete {shlex.quote(f'{FLOW}/{name}')}"
        )
    # Prefect considers a deployment served until a minute after its last poll.
    is_served = str(getattr(found.status, "value", found.status)).upper() == "READY"
    if is_served and found.parameters != parameters:
        others = cast("list[str]", found.parameters.get("sources") or [])
        raise ConfigError(
            f"{FLOW}/{name} is served already with other settings (sources: "
            f"{', '.join(others) or 'none'}); pass another --name, or stop the other process and"
            " wait a minute"
        )


@contextlib.contextmanager
def _server() -> Iterator[tuple[str, Path | None]]:
    """Yield the API of the configured server, else of a local one, and the file with its login."""
    configured = configured_api_url()
    if configured is None:
        with own_server() as (url, login_file):
            # A server without a login may already run at the address.
            yield url, None if _warn_if_open(url) else login_file
        return
    require_server(configured)
    _warn_if_open(configured)
    yield configured, None


def _warn_if_open(url: str) -> bool:
    """Warn if a server accepts requests without a login; return whether it does."""
    is_open = not asks_for_login(url)
    if is_open:
        print(  # noqa: T201
            f"assay: warning: the Prefect server at {redact_url(url)} requires no login: every"
            " program that can reach it, including web pages in a browser on this machine, can"
            " start runs;"
            " docs/scheduling.md explains how to set a login",
            file=sys.stderr,
            flush=True,
        )
    return is_open
