from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import certificates
import httpcore
import pytest
from web import RAW, Site, answer

from assay.data.errors import UnreadableImage
from assay.data.images.inspect_image import ImageLimits
from assay.data.sources.cells import UrlAddress
from assay.data.sources.find import SourceOptions, find_items, read_item
from assay.data.sources.web import http, ssrf
from assay.data.sources.web.ssrf import is_public
from assay.data.text.redaction import redact_url
from assay.data.vocabulary import Reason


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def options(**changes: Any) -> SourceOptions:
    return SourceOptions(**{"allow_private_urls": True, "fetch_timeout_s": 5.0, **changes})


def refusal(url: str, **changes: Any) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        UrlAddress(url).read(options(**changes))
    return caught.value


def test_a_url_gives_its_bytes(site):
    """The item's bytes are the response body; the query is sent and not stored."""
    site.routes["/a.jpg"] = answer()
    (item,) = find_items([site.url("/a.jpg?x=1")], options())
    assert item.source_uri == redact_url(site.url("/a.jpg?x=1"))
    assert read_item(item, options()) == RAW
    assert site.asked == ["HEAD /a.jpg?x=1", "GET /a.jpg?x=1"]


def test_the_fingerprint_is_the_servers_mark(site):
    """The fingerprint is the ETag, else date and length, else constant."""

    def mark(**headers: str) -> str:
        site.routes["/a.jpg"] = answer(**headers)
        (item,) = find_items([site.url("/a.jpg")], options())
        return item.fingerprint

    assert mark(ETag='"1"') == '"1"'
    assert mark(ETag='"2"') != mark(ETag='"1"')
    dated = mark(Last_Modified="Mon, 01 Jan 2026 00:00:00 GMT")
    assert dated == f"Mon, 01 Jan 2026 00:00:00 GMT {len(RAW)}"
    site.routes["/a.jpg"] = answer(status=404)
    (item,) = find_items([site.url("/a.jpg")], options())
    assert item.fingerprint == "no-mark"


def test_redirects_are_followed_up_to_the_limit(site):
    """Three redirects, relative or absolute, are followed; a fourth is refused."""
    for n in range(4):
        site.routes[f"/{n}"] = answer(b"", 302, Location=f"/{n + 1}")
    site.routes["/4"] = answer()
    assert UrlAddress(site.url("/1")).read(options()) == RAW
    assert refusal(site.url("/0")).detail == "more than 3 redirects (max_redirects)"
    assert refusal(site.url("/1"), max_redirects=0).reason is Reason.FETCH_FAILED
    site.routes["/loop"] = answer(b"", 301, Location="/loop")
    assert refusal(site.url("/loop")).reason is Reason.FETCH_FAILED


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("file:///etc/passwd", Reason.UNSAFE_URL),
        ("ftp://example.org/", Reason.UNSAFE_URL),
        ("http://user:secret@example.org/", Reason.UNSAFE_URL),
        ("http://[::1", Reason.UNSAFE_URL),
        ("", Reason.FETCH_FAILED),
    ],
)
def test_where_a_redirect_leads_is_checked(site, location, reason):
    """The target of a redirect is checked like a URL of a list."""
    site.routes["/a"] = answer(b"", 302, Location=location)
    assert refusal(site.url("/a")).reason is reason


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 410])
def test_a_status_that_is_no_picture_has_failed(site, status):
    """Any status but 200 is fetch_failed, without a retry."""
    site.routes["/a"] = answer(b"", status)
    error = refusal(site.url("/a"))
    assert (error.reason, error.detail) == (Reason.FETCH_FAILED, f"HTTP {status}")
    assert len(site.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_once_more(site, status, monkeypatch):
    """A busy server gets one retry, whose result counts."""
    monkeypatch.setattr(http, "_PAUSE_S", 0.01)
    turns = iter([answer(b"", status), answer(), answer(b"", status), answer(b"", status)])

    def take_turns(request: BaseHTTPRequestHandler) -> None:
        next(turns)(request)

    site.routes["/a"] = take_turns
    assert UrlAddress(site.url("/a")).read(options()) == RAW
    assert refusal(site.url("/a")).detail == f"HTTP {status}"


def test_bodies_stop_at_the_byte_limit(site):
    """A declared length above the limit is refused unread; an endless body is cut at the limit."""
    limits = ImageLimits(max_bytes=10_000)
    site.routes["/announced"] = answer(b"x" * 10_001)
    assert refusal(site.url("/announced"), limits=limits).detail.startswith("10001 bytes")
    site.routes["/exact"] = answer(b"x" * 10_000)
    assert len(UrlAddress(site.url("/exact")).read(options(limits=limits))) == 10_000

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for _ in range(10_000):
            request.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")

    site.routes["/endless"] = endless
    assert refusal(site.url("/endless"), limits=limits).reason is Reason.TOO_MANY_BYTES


def drip(request: BaseHTTPRequestHandler, *, head: bool) -> None:
    """Send one byte every 50 ms, in the headers or in the body."""
    start = b"HTTP/1.1 200 OK\r\n" + (b"X: " if head else b"Content-Length: 1000\r\n\r\n")
    request.wfile.write(start)
    for _ in range(60):
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.05)
    request.close_connection = True


@pytest.mark.parametrize("head", [True, False], ids=["headers", "body"])
def test_a_server_that_drips_does_not_hold_the_run_up(site, head):
    """The time limit applies to the whole fetch, however steadily bytes arrive."""
    site.routes["/slow"] = lambda request: drip(request, head=head)
    start = time.monotonic()
    error = refusal(site.url("/slow"), fetch_timeout_s=0.4)
    assert time.monotonic() - start < 1.5
    assert (error.reason, "0.4 s" in error.detail) == (Reason.FETCH_FAILED, True)


def test_redirects_and_tries_share_one_time_limit(site):
    """Redirects and retries share one time limit."""

    def hop(request: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        answer(b"", 302, Location="/hop")(request)

    site.routes["/hop"] = hop
    start = time.monotonic()
    assert refusal(site.url("/hop"), fetch_timeout_s=0.5, max_redirects=50).reason is (
        Reason.FETCH_FAILED
    )
    assert time.monotonic() - start < 1.5


def test_a_connection_that_breaks_off_has_failed(site, monkeypatch):
    """An incomplete body and a refused connection are failures."""
    monkeypatch.setattr(http, "_PAUSE_S", 0.01)

    def half(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"x" * 500)
        request.close_connection = True

    site.routes["/half"] = half
    assert refusal(site.url("/half")).reason is Reason.FETCH_FAILED
    assert len(site.asked) == 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert refusal(f"http://127.0.0.1:{free.getsockname()[1]}/").reason is Reason.FETCH_FAILED


def test_garbage_instead_of_http_has_failed(monkeypatch):
    """A port with another protocol is fetch_failed."""
    monkeypatch.setattr(http, "_PAUSE_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-nothing\r\n\r\n")
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        error = refusal(f"http://127.0.0.1:{server.getsockname()[1]}/a.jpg")
        assert error.reason is Reason.FETCH_FAILED
        thread.join(5)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"]
)
def test_loopback_is_refused_in_every_spelling(site, host):
    """Without the flag no spelling of a loopback address is requested."""
    site.routes["/a"] = answer()
    error = refusal(site.url("/a", host), allow_private_urls=False)
    assert error.reason is Reason.UNSAFE_URL
    assert site.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/a.jpg",
        "http://user:secret@127.0.0.1/a.jpg",
        "http:///a.jpg",
        "http://127.0.0.1:99999/",
        "http://[fe80::1",
        "not a url",
    ],
)
def test_urls_that_are_none_of_ours_are_unsafe(url):
    """Other schemes, logins and broken URLs are refused before resolution."""
    assert refusal(url).reason is Reason.UNSAFE_URL


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("127.255.0.9", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("198.18.0.1", False),
        ("192.0.2.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2002:a00:1::1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ],
)
def test_only_addresses_of_the_public_internet_are_allowed(address, allowed):
    """Non-public addresses of every kind are refused, also embedded in IPv6."""
    assert is_public(address) is allowed


def test_a_redirect_to_loopback_is_refused(site, monkeypatch):
    """The address of a redirect's target is checked."""
    site.routes["/a"] = answer(b"", 302, Location="http://127.0.0.2/b")
    monkeypatch.setattr(ssrf, "is_public", lambda address: address == "127.0.0.1")
    error = refusal(site.url("/a"), allow_private_urls=False)
    assert error.reason is Reason.UNSAFE_URL
    assert "127.0.0.2" in error.detail


def test_a_name_that_changes_its_address_gains_nothing(site, monkeypatch):
    """The connection goes to the address that was checked."""
    site.routes["/a"] = answer()
    port = site.server.server_port
    asked: list[str] = []

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "93.184.215.14" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected: list[str] = []

    def refuse(_self: Any, host: str, *_args: Any, **_kwargs: Any) -> None:
        connected.append(host)
        raise httpcore.ConnectError("no network in this test")

    monkeypatch.setattr(ssrf.socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", refuse)
    monkeypatch.setattr(http, "_N_TRIES", 1)
    assert refusal(f"http://name.example:{port}/a", allow_private_urls=False).reason is (
        Reason.FETCH_FAILED
    )
    assert (asked, connected) == (["name.example"], ["93.184.215.14"])
    error = refusal(f"http://name.example:{port}/a", allow_private_urls=False)
    assert (error.reason, connected) == (Reason.UNSAFE_URL, ["93.184.215.14"])


def test_one_private_address_among_several_is_enough_to_refuse(monkeypatch):
    """A name with a public and a private address is refused."""
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))
        for address in ("8.8.8.8", "10.0.0.1")
    ]
    monkeypatch.setattr(ssrf.socket, "getaddrinfo", lambda *_a, **_k: both)
    assert refusal("http://two.example/", allow_private_urls=False).reason is Reason.UNSAFE_URL


def test_a_resolver_that_hangs_does_not_hold_the_run_up(monkeypatch):
    """The deadline applies to name resolution."""
    monkeypatch.setattr(ssrf.socket, "getaddrinfo", lambda *_a, **_k: time.sleep(2) or [])
    start = time.monotonic()
    assert refusal("http://slow.example/", fetch_timeout_s=0.3).reason is Reason.FETCH_FAILED
    assert time.monotonic() - start < 1.5


def test_a_name_that_does_not_resolve_has_failed(monkeypatch):
    """An unknown host is a failure of its row."""

    def unknown(*_args: Any, **_kwargs: Any) -> None:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(http, "_PAUSE_S", 0.01)
    monkeypatch.setattr(ssrf.socket, "getaddrinfo", unknown)
    assert refusal("http://nowhere.example/").reason is Reason.FETCH_FAILED


def test_https_checks_the_certificate(site):
    """A server without TLS or with an untrusted certificate is fetch_failed."""
    site.routes["/a"] = answer()
    url = site.url("/a").replace("http://", "https://")
    assert refusal(url).reason is Reason.FETCH_FAILED


def test_https_asks_for_the_name_and_not_the_address(tmp_path, monkeypatch):
    """The connection goes to an address, and the certificate is checked for the name."""
    (tmp_path / "cert.pem").write_bytes(certificates.of_host("pictures.example"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem")
    made = Site()
    try:
        made.server.socket = context.wrap_socket(made.server.socket, server_side=True)
        made.routes["/a"] = answer()
        trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        monkeypatch.setattr(http.httpx, "create_ssl_context", lambda **_: trusting)
        monkeypatch.setattr(http, "_N_TRIES", 1)
        http._pools.clear()
        loopback = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
        real = socket.getaddrinfo
        monkeypatch.setattr(
            ssrf.socket,
            "getaddrinfo",
            lambda host, *a, **k: loopback if host.endswith(".example") else real(host, *a, **k),
        )
        port = made.server.server_port
        good = f"https://pictures.example:{port}/a"
        assert UrlAddress(good).read(options()) == RAW
        wrong = f"https://other.example:{port}/a"
        assert refusal(wrong).reason is Reason.FETCH_FAILED
    finally:
        http._pools.clear()
        made.close()


def test_environment_proxies_and_cookies_are_ignored(site, monkeypatch):
    """Proxies of the environment and cookies are not used."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    cookies: list[str | None] = []

    def keep(request: BaseHTTPRequestHandler) -> None:
        cookies.append(request.headers.get("Cookie"))
        answer(Set_Cookie="id=1")(request)

    site.routes["/a"] = keep
    for _ in range(2):
        assert UrlAddress(site.url("/a")).read(options()) == RAW
    assert cookies == [None, None]


def test_many_threads_fetch_at_once(site):
    """Sixteen threads share connections, and each gets its own body."""
    for n in range(32):
        site.routes[f"/{n}"] = answer(bytes([n]) * 1000)
    with ThreadPoolExecutor(16) as pool:
        bodies = pool.map(lambda n: UrlAddress(site.url(f"/{n}")).read(options()), range(32))
        assert list(bodies) == [bytes([n]) * 1000 for n in range(32)]
