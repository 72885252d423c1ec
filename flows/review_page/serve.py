"""The server process of the review page."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Final

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from .settings import PageSettings

# Answers in progress are recorded; a browser sends again what was cut off.
_SHUTDOWN_S: Final = 3


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises:
        ConfigError: The address is in use, or is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; name another with"
            " --port or --host"
        ) from error


def check_certificate(certificate: Path | None, private_key: Path | None) -> None:
    """Refuse files that are no certificate with its key.

    Args:
        certificate: Certificate in PEM format; None for http.
        private_key: Private key in PEM format; None: it is in the file of the certificate.

    Raises:
        ConfigError: A file cannot be read or used, or the key belongs to another certificate.
    """
    if certificate is None:
        if private_key is not None:
            raise ConfigError("--keyfile needs the certificate beside it: --certfile FILE")
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, private_key)
    except (OSError, ValueError) as error:
        key = "" if private_key is None else f" with the key {private_key}"
        raise ConfigError(f"{certificate}{key} cannot be used for https: {error}") from error


def address_of(listener: socket.socket, *, is_https: bool) -> str:
    """Return the URL at which a browser on this machine reaches the page."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    name = f"[{host}]" if ":" in host else host
    return f"http{'s' if is_https else ''}://{name}:{port}/"


def serve_page(
    lake: Lake,
    settings: PageSettings,
    listener: socket.socket,
    *,
    certificate: Path | None = None,
    private_key: Path | None = None,
) -> None:
    """Serve the review page until the process is interrupted.

    Requests are not logged: their bodies hold the token, notes and names.

    Args:
        lake: Lake of the images and answers.
        settings: Settings of the server.
        listener: Socket from `listen`.
        certificate: Certificate in PEM format, for https.
        private_key: Private key in PEM format; None: it is in the file of the certificate.
    """
    import uvicorn

    from .app import review_app

    config = uvicorn.Config(
        review_app(lake, settings),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=_SHUTDOWN_S,
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
    )
    uvicorn.Server(config).run(sockets=[listener])
