"""Fetching of images over http and https, within limits on bytes, seconds and redirects.

Redirects are followed here one by one, each under the rules of `ssrf`. Proxies of the environment
are not used, since a proxy would resolve host names itself.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

import httpcore
import httpx

from ...errors import UnreadableImage
from ...images.limits import too_many_bytes
from ...text.redaction import has_user_info
from ...text.wording import counted
from ...vocabulary import Reason
from ..handles import Handles
from ..items import SourceOptions
from .content_coding import unpacked
from .fetched import NO_MARK, Fetched, GoneError, UnansweredError
from .ssrf import CheckedBackend, RefusedAddressError, within

T = TypeVar("T")

_HEADERS: Final[dict[bytes | str, bytes | str]] = {
    "User-Agent": "assay",
    "Accept": "image/*,*/*;q=0.5",
    # Encoded images do not compress; see `content_coding` for servers that compress anyway.
    "Accept-Encoding": "identity",
}
_DATE: Final = re.compile(r"[A-Za-z]{3,9}, .*?GMT")
_MAX_TAG_CHARS: Final = 200
_NOT_MODIFIED: Final = 304
_TAKES_NO_HEAD: Final = frozenset({400, 403, 405, 501})
_GONE: Final = frozenset({404, 410})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_WORTH_ANOTHER_TRY: Final = frozenset({429, 500, 502, 503, 504})
_N_TRIES: Final = 2
_PAUSE_S: Final = 0.5
_MAX_CONNECTIONS: Final = 64


def fetch(url: str, options: SourceOptions) -> bytes:
    """Return the body of a URL after redirects, with one retry for transient failures.

    Raises:
        UnreadableImage: The URL is not allowed (UNSAFE_URL: scheme, address, or login in the URL),
            the body is too large (TOO_MANY_BYTES), or the fetch failed (FETCH_FAILED).
    """
    return fetch_if_changed(url, options, mark="").raw or b""


def fetch_if_changed(url: str, options: SourceOptions, *, mark: str) -> Fetched:
    """Return the body of a URL, unless the server's mark shows that it is unchanged.

    Args:
        url: URL to fetch.
        options: Limits on bytes, seconds and redirects.
        mark: Mark of an earlier response; "" to return the body in any case.

    Raises:
        UnreadableImage: The fetch is refused or failed, as in `fetch`.
    """
    deadline = time.monotonic() + options.fetch_timeout_s
    for n_left in reversed(range(_N_TRIES)):
        try:
            return _follow(
                "GET",
                url,
                options,
                deadline,
                lambda answer: _what_came(answer, options, mark),
                _conditions(mark),
            )
        except _BusyError as busy:
            if n_left == 0 or time.monotonic() + _PAUSE_S >= deadline:
                kind = UnreadableImage if busy.has_answered else UnansweredError
                raise kind(Reason.FETCH_FAILED, str(busy)) from busy
            time.sleep(_PAUSE_S)
    raise AssertionError("unreachable: the last attempt returns or raises")


def fingerprint_of_url(url: str, options: SourceOptions) -> str:
    """Return the server's mark of the content (ETag, or date and length); "" without one.

    One HEAD request, or a GET without its body if the server refuses HEAD, as for URLs signed for
    GET only. Failures give "" here and are reported by the fetch.
    """
    deadline = time.monotonic() + options.fetch_timeout_s
    for method in ("HEAD", "GET"):
        with contextlib.suppress(UnreadableImage, _BusyError):
            status, mark = _follow(
                method, url, options, deadline, lambda answer: (answer.status, _mark_of(answer))
            )
            if status == 200:
                return mark
            if status not in _TAKES_NO_HEAD:
                break
    return ""


def _mark_of(answer: _Answer) -> str:
    header = answer.header
    tag = header("etag")
    if 0 < len(tag) <= _MAX_TAG_CHARS:
        return tag
    return " ".join(filter(None, (header("last-modified")[:40], header("content-length")[:20])))


def _conditions(mark: str) -> dict[bytes | str, bytes | str]:
    """Return the headers of a conditional request: the body only if the mark has changed."""
    date = _DATE.match(mark)
    if date is not None:
        return {"If-Modified-Since": date[0]}
    if not mark or mark == NO_MARK or mark.isdecimal() or not mark.isascii():
        return {}
    return {"If-None-Match": mark}


class _BusyError(Exception):
    """A transient failure of a fetch."""

    def __init__(self, text: str, *, has_answered: bool) -> None:
        super().__init__(text)
        self.has_answered = has_answered


def _follow(
    method: str,
    url: str,
    options: SourceOptions,
    deadline: float,
    take: Callable[[_Answer], T],
    headers: Mapping[bytes | str, bytes | str] | None = None,
) -> T:
    """Request a URL, follow redirects, and return `take` of the last response."""
    at = url
    for _ in range(options.max_redirects + 1):
        with _request(method, at, options, deadline, headers) as answer:
            if answer.status not in _REDIRECTS:
                return take(answer)
            location = answer.header("location")
            if not location:
                raise UnreadableImage(Reason.FETCH_FAILED, "a redirect without a location")
            try:
                at = str(httpx.URL(at).join(location))
            except (httpx.InvalidURL, ValueError, TypeError) as error:
                detail = f"a redirect to an invalid URL: {error}"
                raise UnreadableImage(Reason.UNSAFE_URL, detail) from error
    raise UnreadableImage(
        Reason.FETCH_FAILED,
        f"more than {counted(options.max_redirects, 'redirect')} (max_redirects)",
    )


def _what_came(answer: _Answer, options: SourceOptions, mark: str) -> Fetched:
    if answer.status == _NOT_MODIFIED and mark:
        return Fetched(None, mark)
    if answer.status == 200 and mark and (_mark_of(answer) or NO_MARK) == mark:
        # The server ignores conditions; the unchanged body is not read.
        return Fetched(None, mark)
    return Fetched(answer.body(options), _mark_of(answer) or NO_MARK)


class _Answer:
    """Response with its body not yet read."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str:
        wanted = name.encode()
        found = [value for key, value in self._response.headers if key.lower() == wanted]
        return found[0].decode("latin-1").strip() if found else ""

    def body(self, options: SourceOptions) -> bytes:
        if self.status in _WORTH_ANOTHER_TRY:
            raise _BusyError(f"HTTP {self.status}", has_answered=True)
        if self.status in _GONE:
            raise GoneError(Reason.FETCH_FAILED, f"HTTP {self.status}")
        if self.status != 200:
            raise UnreadableImage(Reason.FETCH_FAILED, f"HTTP {self.status}")
        limit = options.limits.max_bytes
        announced = self.header("content-length")
        if announced.isdecimal() and int(announced) > limit:
            raise too_many_bytes(announced[:20], options.limits)
        found = bytearray()
        for part in self._response.iter_stream():
            found += part
            if len(found) > limit:
                raise too_many_bytes(f"over {limit}", options.limits)
        return unpacked(bytes(found), self.header("content-encoding"), options.limits)


@contextlib.contextmanager
def _request(
    method: str,
    url: str,
    options: SourceOptions,
    deadline: float,
    more_headers: Mapping[bytes | str, bytes | str] | None = None,
) -> Iterator[_Answer]:
    """Send a request, yield the open response, and convert transport errors."""
    parsed = _require_plain_url(url)
    allow_private = options.allow_private_urls
    pool = _pools.get(allow_private, lambda: _make_pool(allow_private=allow_private))
    headers = {"Host": parsed.netloc, **_HEADERS, **(more_headers or {})}
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
        raise UnansweredError(Reason.FETCH_FAILED, detail) from error
    except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
        raise _BusyError(f"{type(error).__name__}: {error}", has_answered=False) from error
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol, ssl.SSLError, OSError) as error:
        raise UnreadableImage(Reason.FETCH_FAILED, f"{type(error).__name__}: {error}") from error


def _require_plain_url(url: str) -> httpx.URL:
    if has_user_info(url):  # first, since messages on broken URLs quote parts of them
        raise UnreadableImage(Reason.UNSAFE_URL, "a login in the URL, which would be stored")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise UnreadableImage(Reason.UNSAFE_URL, f"not a valid URL: {error}") from error
    if parsed.scheme not in {"http", "https"}:
        detail = f'scheme "{parsed.scheme}"; allowed: http, https'
        raise UnreadableImage(Reason.UNSAFE_URL, detail)
    if not parsed.host or not 0 < (parsed.port or 80) <= 65535:
        # The resolver would read 65616 as 80 (modulo 65536).
        raise UnreadableImage(Reason.UNSAFE_URL, "no host, or a port outside 1 to 65535")
    return parsed


_pools: Final[Handles[httpcore.ConnectionPool]] = Handles()


def _make_pool(*, allow_private: bool) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=httpx.create_ssl_context(trust_env=True),
        max_connections=_MAX_CONNECTIONS,
        keepalive_expiry=5.0,
        network_backend=CheckedBackend(allow_private=allow_private),
    )
