"""Checks of a Prefect server, and a local server that requires a login.

Write access to Prefect's API means running code as the user who serves. A server that assay starts
therefore requires its login, and forbids browsers to show its responses to pages of other origins.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...data.errors import ConfigError
from ...data.text.redaction import redact_url
from ..process.private_file import read_private, write_private

START_TIMEOUT_S = 180.0
ANSWER_TIMEOUT_S = 5.0
LOGIN_FILE = "assay-login"
_OWN_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def require_server(url: str) -> None:
    """Check that a Prefect server answers at a URL and accepts this user's login.

    Prefect's own client is used, so that its settings for logins, keys, headers and certificates
    apply.

    Raises:
        ConfigError: No server answers, or it refuses the login.
    """
    settle_client()
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    shown = redact_url(url)
    changes: dict[Any, Any] = {PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}
    try:
        with (
            temporary_settings(changes),
            get_client(httpx_settings={"timeout": ANSWER_TIMEOUT_S}, sync_client=True) as client,
        ):
            # Prefect Cloud answers the health check with an HTTP error.
            error = client.api_healthcheck()
            is_cloud = client.server_type.name == "CLOUD"
            if error is not None and not (is_cloud and isinstance(error, httpx.HTTPStatusError)):
                raise error
            if not is_cloud:
                client.api_version()  # the first request that needs the login
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in {401, 403}:
            raise ConfigError(
                f"the Prefect server at {shown} refuses the login (HTTP {status}); set"
                " PREFECT_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud"
            ) from error
        raise ConfigError(
            f"no Prefect API at {shown} (HTTP {status}); PREFECT_API_URL usually ends in /api"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ConfigError(
            f"no Prefect server answers at {shown}; start it, remove its address from Prefect's"
            " settings (PREFECT_API_URL, a profile, prefect.toml), or pass --no-server"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"the server at {shown} is not a Prefect API; PREFECT_API_URL usually ends in /api"
        ) from error


def pages_of(url: str) -> str:
    """Return the address of a server's pages, without a login that its API's address may hold."""
    from prefect.settings import get_current_settings

    return redact_url(get_current_settings().ui_url or url.rstrip("/").removesuffix("/api"))


def settle_client() -> None:
    """Set the variables that Prefect reads when it is imported."""
    from ..process.prefect_home import settle

    settle(quiet=False)


@contextlib.contextmanager
def own_server() -> Iterator[tuple[str, Path]]:
    """Yield the API URL of a local server and the file with its login.

    A running server is used if it accepts the login; otherwise one is started and stopped after
    the block. `PREFECT_SERVER_API_HOST` and `PREFECT_SERVER_API_PORT` set its address.

    Raises:
        ConfigError: The address is in use, or the server does not start.
    """
    from filelock import FileLock
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    host, port = str(settings.server.api.host), settings.server.api.port
    # A server on all addresses is reached on the loopback address.
    own = _OWN_ADDRESS.get(host, host)
    url = f"http://{f'[{own}]' if ':' in own else own}:{port}/api"
    home = settings.home
    home.mkdir(parents=True, exist_ok=True)
    stated = settings.server.api.auth_string
    login_file = home / LOGIN_FILE
    login = login_in(login_file, stated=stated.get_secret_value() if stated else None)
    os.environ["PREFECT_API_AUTH_STRING"] = login
    server: subprocess.Popen[bytes] | None = None
    try:
        # Two processes that start at the same time would both find no server.
        with FileLock(home / f"{LOGIN_FILE}.lock"):
            if not _answers(url):
                server = _start(url, login, host, origins=settings.server.api.cors_allowed_origins)
                _wait(url, server)
        yield url, login_file
    finally:
        if server is not None:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(timeout=15)


def login_in(file: Path, *, stated: str | None = None) -> str:
    """Return the login in a file that only its owner may read; create it if missing.

    Args:
        file: Path of the file.
        stated: Login that the user has set for Prefect's server; stored instead of a random one.

    Raises:
        ConfigError: The file belongs to another user, or cannot be written.
    """
    try:
        kept = read_private(file)
        if stated is None and kept:
            return kept
        login = stated or f"assay:{secrets.token_urlsafe(32)}"
        if login != kept:
            write_private(file, login)
    except OSError as error:
        raise ConfigError(
            f"the login of Prefect's server cannot be stored in {file}: {error.strerror or error};"
            " set PREFECT_HOME to a folder that you own"
        ) from error
    return login


def _start(url: str, login: str, host: str, *, origins: str) -> subprocess.Popen[bytes]:
    address = urlsplit(url)
    print(f"Starting a Prefect server at {url} ...", file=sys.stderr, flush=True)  # noqa: T201
    pages = (url.removesuffix("/api"), f"http://localhost:{address.port}")
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host", host, "--port", str(address.port)),
        ],
        env=os.environ
        | {
            "PREFECT_SERVER_API_AUTH_STRING": login,
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ",".join(pages)
            if origins == "*"
            else origins,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not _answers(url):
        if server.poll() is not None or time.monotonic() > deadline_s:
            cause = "the address is in use" if _listens(url) else "it did not start"
            server.kill()
            raise ConfigError(
                f"no Prefect server at {url}: {cause}; run 'prefect server start' for details,"
                " or set PREFECT_SERVER_API_PORT to a free port"
            )
        time.sleep(0.5)


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/health", timeout=2.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _listens(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((str(address.hostname), address.port or 80), timeout=1).close()
    except OSError:
        return False
    return True


def asks_for_login(url: str) -> bool:
    """Return whether a server refuses requests without a login."""
    import httpx

    try:
        return not httpx.get(f"{url}/admin/version", timeout=2.0).is_success
    except httpx.HTTPError:
        return True
