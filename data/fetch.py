"""Pictures from http and https, within limits on bytes, seconds and redirects.

Redirects are followed here, one by one, each under the rules of `connections`. Proxies of
the environment are not used, since a proxy would resolve names by itself.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator
from typing import Final

import httpcore
import httpx

from .connections import CheckedBackend, RefusedAddressError, within
from .errors import UnreadableImage
from .handles import Handles
from .items import SourceOptions
from .opening import too_many_bytes
from .schema import Reason

_HEADERS: Final[dict[bytes | str, bytes | str]] = {
    "User-Agent": "assay",
    "Accept": "image/*,*/*;q=0.5",
    # What is compressed in transit may unpack to anything; pictures gain nothing by it.
    "Accept-Encoding": "identity",
}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_WORTH_ANOTHER_TRY: Final = frozenset({429, 500, 502, 503, 504})
_N_TRIES: Final = 2
_PAUSE_S: Final = 0.5
_MAX_CONNECTIONS: Final = 64


def fetch(url: str, options: SourceOptions) -> bytes:
    """The body that a URL gives, after redirects, tried again once when the server is busy.

    Raises:
        UnreadableImage: UNSAFE_URL (scheme, address, login in the URL), TOO_MANY_BYTES, or
            FETCH_FAILED for everything else.
    """
    deadline = time.monotonic() + options.fetch_timeout_s
    for n_left in reversed(range(_N_TRIES)):
        try:
            return _follow(url, options, deadline)
        except _BusyError as busy:
            if n_left == 0 or time.monotonic() + _PAUSE_S >= deadline:
                raise UnreadableImage(Reason.FETCH_FAILED, str(busy)) from busy
            time.sleep(_PAUSE_S)
    raise AssertionError("unreachable: the last try returns or raises")


def fingerprint_of_url(url: str, options: SourceOptions) -> str:
    """The server's own mark of the content (ETag, or date and length); "" when it gives none.

    One HEAD request; whatever goes wrong is left for the fetch to tell.
    """
    try:
        with _request("HEAD", url, options, time.monotonic() + options.fetch_timeout_s) as answer:
            if answer.status != 200:
                return ""
            header = answer.header
            return header("etag") or " ".join(
                filter(None, (header("last-modified"), header("content-length")))
            )
    except (UnreadableImage, _BusyError):
        return ""


class _BusyError(Exception):
    """The fetch failed in a way that may pass."""


def _follow(url: str, options: SourceOptions, deadline: float) -> bytes:
    at = url
    for _ in range(options.max_redirects + 1):
        with _request("GET", at, options, deadline) as answer:
            if answer.status not in _REDIRECTS:
                return answer.body(options)
            location = answer.header("location")
            if not location:
                raise UnreadableImage(Reason.FETCH_FAILED, "a redirect to nowhere")
            try:
                at = str(httpx.URL(at).join(location))
            except (httpx.InvalidURL, ValueError, TypeError) as error:
                detail = f"a redirect to no URL: {error}"
                raise UnreadableImage(Reason.UNSAFE_URL, detail) from error
    raise UnreadableImage(
        Reason.FETCH_FAILED, f"more than {options.max_redirects} redirects (max_redirects)"
    )


class _Answer:
    """A response whose body has not been read."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str:
        wanted = name.encode()
        found = [value for key, value in self._response.headers if key.lower() == wanted]
        return found[0].decode("latin-1").strip() if found else ""

    def body(self, options: SourceOptions) -> bytes:
        if self.status in _WORTH_ANOTHER_TRY:
            raise _BusyError(f"HTTP {self.status}")
        if self.status != 200:
            raise UnreadableImage(Reason.FETCH_FAILED, f"HTTP {self.status}")
        encoding = self.header("content-encoding").lower()
        if encoding not in {"", "identity"}:
            detail = f"the body is compressed ({encoding}) although that was not asked for"
            raise UnreadableImage(Reason.FETCH_FAILED, detail)
        limit = options.limits.max_bytes
        announced = self.header("content-length")
        if announced.isdecimal() and int(announced) > limit:
            raise too_many_bytes(announced[:20], options.limits)
        found = bytearray()
        for part in self._response.iter_stream():
            found += part
            if len(found) > limit:
                raise too_many_bytes(f"over {limit}", options.limits)
        return bytes(found)


@contextlib.contextmanager
def _request(method: str, url: str, options: SourceOptions, deadline: float) -> Iterator[_Answer]:
    """One request and its response, open; transport errors are told apart."""
    parsed = _require_plain_url(url)
    allow_private = options.allow_private_urls
    pool = _pools.get(allow_private, lambda: _make_pool(allow_private=allow_private))
    headers = {"Host": parsed.netloc, **_HEADERS}
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), options.fetch_timeout_s)
    try:
        with (
            within(deadline),
            pool.stream(
                method,
                httpcore.URL(
                    scheme=parsed.raw_scheme,
                    host=parsed.raw_host,
                    port=parsed.port,
                    target=parsed.raw_path,
                ),
                headers=headers,
                extensions={"timeout": timeout},
            ) as response,
        ):
            yield _Answer(response)
    except RefusedAddressError as error:
        raise UnreadableImage(Reason.UNSAFE_URL, str(error)) from error
    except httpcore.TimeoutException as error:
        detail = f"no answer in {options.fetch_timeout_s:g} s (fetch_timeout_s)"
        raise UnreadableImage(Reason.FETCH_FAILED, detail) from error
    except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
        raise _BusyError(f"{type(error).__name__}: {error}") from error
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol, ssl.SSLError, OSError) as error:
        raise UnreadableImage(Reason.FETCH_FAILED, f"{type(error).__name__}: {error}") from error


def _require_plain_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        has_login = bool(parsed.userinfo)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise UnreadableImage(Reason.UNSAFE_URL, f"no valid URL: {error}") from error
    if parsed.scheme not in {"http", "https"}:
        detail = f'scheme "{parsed.scheme}"; allowed: http, https'
        raise UnreadableImage(Reason.UNSAFE_URL, detail)
    if has_login:
        raise UnreadableImage(Reason.UNSAFE_URL, "a login in the URL; it would be stored")
    if not parsed.host or not 0 < (parsed.port or 80) <= 65535:
        # The resolver would take 65616 for 80.
        raise UnreadableImage(Reason.UNSAFE_URL, "no host, or a port beyond 65535")
    return parsed


_pools: Final[Handles[httpcore.ConnectionPool]] = Handles()


def _make_pool(*, allow_private: bool) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=httpx.create_ssl_context(trust_env=True),
        max_connections=_MAX_CONNECTIONS,
        keepalive_expiry=5.0,
        network_backend=CheckedBackend(allow_private=allow_private),
    )
