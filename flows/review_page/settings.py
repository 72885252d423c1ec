"""Settings of the review page's server."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from ...data.errors import ConfigError
from ...data.text.wording import counted

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8787
MIN_TOKEN_CHARS: Final = 16
SESSION_HOURS: Final = 12.0
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """Settings of one server of the review page.

    Attributes:
        secret: Key by which cookies and forms are signed, at least 32 bytes. Sessions survive a
            restart of the server with the same key.
        host: Address on which the server listens.
        port: Port on which the server listens.
        token: Token of the login; None: no login, on the loopback address only.
        allowed_hosts: Further names by which browsers may address the server.
        is_https: Whether browsers reach the server by https, so that cookies are `Secure`.
        no_store: Whether browsers are forbidden to store anything of the images.
        session_hours: Time after which a login expires, in hours.
    """

    secret: bytes = field(repr=False)
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    is_https: bool = False
    no_store: bool = False
    session_hours: float = SESSION_HOURS

    def __post_init__(self) -> None:
        if len(self.secret) < 32:
            raise ConfigError(
                f"the signing key has {counted(len(self.secret), 'byte')}; allowed: 32 or more"
            )
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"--port {self.port}; allowed: 0 to 65535, 0 for a free one")
        if self.token is None and not is_loopback(self.host):
            raise ConfigError(
                f"--host {self.host} is reached from other machines; that needs the token of a"
                " login"
            )
        if self.token is not None and len(self.token) < MIN_TOKEN_CHARS:
            raise ConfigError(
                f"the token has {len(self.token)} characters; allowed: {MIN_TOKEN_CHARS} or more"
            )
        for name in self.allowed_hosts:
            if not _HOST_NAME.fullmatch(name):
                raise ConfigError(
                    f"--allow-host {name!r}; allowed: a host name without scheme and port, such as"
                    " review.example.org"
                )

    @property
    def needs_login(self) -> bool:
        """Whether the page asks for a token."""
        return self.token is not None

    @property
    def cookie(self) -> str:
        """Name of the cookie; browsers share cookies between the ports of a host."""
        prefix = "__Host-" if self.is_https else ""
        return f"{prefix}assay-review-{self.port}"


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
