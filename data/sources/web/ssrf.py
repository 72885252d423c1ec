"""Connections to checked addresses only, within a deadline.

A host name is resolved once, all its addresses must be allowed, and the connection goes to one of
the checked addresses. A name that resolves differently later (DNS rebinding) has no effect.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import httpcore


class RefusedAddressError(Exception):
    """The address is not public, and only public addresses are allowed."""


def is_public(address: str) -> bool:
    """Return whether an IP address, and any IPv4 address embedded in it, is public."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or _inside_nat64(ip)
        if inner is not None and not is_public(str(inner)):
            return False
        if ip.teredo is not None or ip.is_site_local:
            return False
        if inner is not None and ip.sixtofour is None:
            return True
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _inside_nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


def _resolve(host: str, port: int) -> list[str]:
    """Return all addresses of a host, within the deadline; the resolver has no time limit."""
    found: list[str] = []
    errors: list[OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(str(answer[4][0]) for answer in answers)
        except (OSError, UnicodeError) as error:
            errors.append(error)

    thread = threading.Thread(target=look_up, daemon=True, name="assay-resolve")
    thread.start()
    thread.join(_left())
    if errors:
        raise httpcore.ConnectError(f"{host}: {errors[0]}")
    if thread.is_alive():
        raise httpcore.ConnectTimeout(f"{host}: no answer from the resolver")
    return list(dict.fromkeys(found))


_clock: Final = threading.local()


@contextlib.contextmanager
def within(deadline: float) -> Iterator[None]:
    """Limit all traffic of this thread by a deadline on the monotonic clock, in seconds."""
    before = getattr(_clock, "deadline", None)
    _clock.deadline = deadline
    try:
        yield
    finally:
        _clock.deadline = before


def _left(at_most: float | None = None) -> float:
    """Return the seconds until the deadline of this thread's fetch."""
    deadline = getattr(_clock, "deadline", None)
    left = float("inf") if deadline is None else deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time limit of this URL has passed")
    limits = [left, *([at_most] if at_most is not None else [])]
    return min(3600.0, *limits)


class _TimedStream(httpcore.NetworkStream):
    """Connection with one deadline for all reads and writes, which also ends slow trickles."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read at most `max_bytes` before the deadline."""
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of `buffer` before the deadline."""
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the connection under TLS, with the host's certificate verified."""
        return _TimedStream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        """Return a property of the connection."""
        return self._inner.get_extra_info(info)


class CheckedBackend(httpcore.NetworkBackend):
    """Network backend that connects to checked addresses, never to names."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the host at one of its addresses, after all of them are checked.

        Raises:
            RefusedAddressError: An address of the host is not public.
            httpcore.ConnectError: No address accepts the connection.
        """
        addresses = _resolve(host, port)
        if not self._allow_private:
            for address in addresses:
                if not is_public(address):
                    raise RefusedAddressError(f"{host} is {address}, which is not a public address")
        last: httpcore.ConnectError | None = None
        for address in addresses:
            try:
                stream = self._plain.connect_tcp(
                    address, port, _left(timeout), local_address, socket_options
                )
            except httpcore.ConnectError as error:
                last = error
            else:
                return _TimedStream(stream)
        raise last or httpcore.ConnectError(f"{host} has no address")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Refuse any local socket.

        Raises:
            RefusedAddressError: On every call.
        """
        raise RefusedAddressError("a local socket")
