"""A Prefect server: whether one answers, and one of this machine's own behind a login.

Whoever may write to Prefect's API can run code as the user who serves. So a server that assay
starts takes requests with its login only, and tells browsers that pages of other origins may not
read its answers.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...data.errors import ConfigError
from ...data.text.redaction import redact_url

START_TIMEOUT_S = 180.0
ANSWER_TIMEOUT_S = 5.0
LOGIN_FILE = "assay-login"
_OWN_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def require_server(url: str) -> None:
    """Raise `ConfigError` unless a Prefect server answers at a URL and takes this user's login.

    Prefect's own client asks, so that its settings for logins, keys, headers and certificates hold.
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
            # Prefect Cloud answers this otherwise, and by its answer is there.
            error = client.api_healthcheck()
            is_cloud = client.server_type.name == "CLOUD"
            if error is not None and not (is_cloud and isinstance(error, httpx.HTTPStatusError)):
                raise error
            if not is_cloud:
                client.api_version()  # the first that needs the login
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in {401, 403}:
            raise ConfigError(
                f"the Prefect server at {shown} refuses the login (HTTP {status}); set"
                " PREFECT_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud"
            ) from error
        raise ConfigError(
            f"no Prefect API at {shown} (HTTP {status}); PREFECT_API_URL ends in /api as a rule"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ConfigError(
            f"no Prefect server answers at {shown}; start it, or take its address out of Prefect's"
            " settings (PREFECT_API_URL, a profile, prefect.toml); moderate --no-server does"
            " without"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"what answers at {shown} is no Prefect API; PREFECT_API_URL ends in /api as a rule"
        ) from error


def settle_client() -> None:
    """Set what Prefect reads when it is imported."""
    from ..process.prefect_home import settle

    settle(quiet=False)


@contextlib.contextmanager
def own_server() -> Iterator[tuple[str, Path]]:
    """Give the API of this machine's own server and the file with its login.

    A server that runs already is used, if it takes the login; else one is started and lives as
    long as the block. `PREFECT_SERVER_API_HOST` and `PREFECT_SERVER_API_PORT` say where.

    Raises:
        ConfigError: Something else listens there, or the server does not start.
    """
    from filelock import FileLock
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    host, port = str(settings.server.api.host), settings.server.api.port
    # What listens on every address is asked on this machine's own.
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
        # Two that start at once would both find no server.
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
    """Return the login kept in a file that only its owner may read; made where there is none.

    Args:
        file: Where it is kept.
        stated: The login that this user set for Prefect's server; kept in place of a made one.

    Raises:
        ConfigError: The file belongs to somebody else, or cannot be written.
    """
    try:
        kept = _read_private(file)
        if stated is None and kept:
            return kept
        login = stated or f"assay:{secrets.token_urlsafe(32)}"
        if login != kept:
            _write_private(file, login)
    except OSError as error:
        raise ConfigError(
            f"the login of Prefect's server cannot be kept in {file}: {error.strerror or error};"
            " set PREFECT_HOME to a folder of your own"
        ) from error
    return login


def _read_private(file: Path) -> str | None:
    """The content of a file that nobody else could read or write; None where that is not so."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8") as opened:
        about = os.fstat(opened.fileno())
        owner = getattr(os, "getuid", lambda: about.st_uid)()
        if about.st_uid != owner or (os.name != "nt" and stat.S_IMODE(about.st_mode) & 0o077):
            return None
        return opened.read().strip() or None


def _write_private(file: Path, text: str) -> None:
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(f"{text}\n")
    unfinished.replace(file)


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
            listening = "something else listens there" if _listens(url) else "it did not start"
            server.kill()
            raise ConfigError(
                f"no Prefect server at {url}: {listening}; run 'prefect server start' to see why,"
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
    """Whether a server that answers refuses those who give no login."""
    import httpx

    try:
        return not httpx.get(f"{url}/admin/version", timeout=2.0).is_success
    except httpx.HTTPError:
        return True
