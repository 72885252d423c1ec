"""A small HTTP proxy that breaks some of the responses it forwards."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class FaultyProxy:
    """Proxy to one server that truncates a share of the bodies of responses to GET.

    Attributes:
        busy: Share of requests that are answered 503.
        slow_s: Delay of each response in seconds.
        is_down: Whether connections are closed without a response.
        answers: Statuses that are answered to GET by path.
        methods: Statuses that are answered by method.
        bodies: Paths of the responses to GET with a body.
        writes: Requests that change the store, in order: method, path, body and headers.
        before_write: Function that is called before each of them; True drops the request.
    """

    def __init__(self, host: str, port: int, *, share: float, seed: int = 0) -> None:
        self.upstream = (host, port)
        self.share = share
        self.n_answers = 0
        self.n_cut = 0
        self.busy = self.slow_s = 0.0
        self.is_down = False
        self.n_busy = self.n_dropped = 0
        self.answers: dict[str, int] = {}
        self.methods: dict[str, int] = {}
        self.bodies: list[str] = []
        self.writes: list[tuple[str, str, bytes | None, dict[str, str]]] = []
        self.before_write: Callable[[], bool] | None = None
        self.write_lock = threading.Lock()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def breaks(self) -> bool:
        """Return whether this response is to be truncated."""
        with self._lock:
            self.n_answers += 1
            is_cut = self._random.random() < self.share
            self.n_cut += is_cut
            return is_cut

    def refusal(self, method: str, path: str) -> int | None:
        """Return the status that a request is refused with; None if it is forwarded."""
        with self._lock:
            if self._random.random() < self.busy:
                self.n_busy += 1
                return 503
        if method == "GET" and path in self.answers:
            return self.answers[path]
        return self.methods.get(method)


def _forwarded(
    proxy: FaultyProxy, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[http.client.HTTPResponse, bytes]:
    """Return the answer of the server and its body."""
    upstream = http.client.HTTPConnection(*proxy.upstream, timeout=60)
    try:
        upstream.request(method, path, body=body, headers=headers)
        answer = upstream.getresponse()
        return answer, answer.read()
    finally:
        upstream.close()


def replay(proxy: FaultyProxy, writes: list[tuple[str, str, bytes | None, dict[str, str]]]) -> None:
    """Send requests that a server has had to the one that takes its place."""
    for method, path, body, headers in writes:
        _forwarded(proxy, method, path, body, headers)


def _handler(proxy: FaultyProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self._body()
            time.sleep(proxy.slow_s)
            if proxy.is_down:
                proxy.n_dropped += 1
                self.close_connection = True
                return
            if (refusal := proxy.refusal(self.command, self.path.partition("?")[0])) is not None:
                self.send_response(refusal)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            is_write = self.command in {"PUT", "POST", "DELETE"} and proxy.before_write is not None
            try:
                with proxy.write_lock if is_write else contextlib.nullcontext():
                    if is_write:
                        proxy.writes.append((self.command, self.path, body, headers))
                        if proxy.before_write is not None and proxy.before_write():
                            raise ConnectionAbortedError
                    answer, raw = _forwarded(proxy, self.command, self.path, body, headers)
            except (OSError, http.client.HTTPException):
                proxy.n_dropped += 1
                self.close_connection = True
                return
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in HOP_BY_HOP:
                    self.send_header(key, value)
            is_head = self.command == "HEAD"
            told = answer.getheader("Content-Length") if is_head else str(len(raw))
            self.send_header("Content-Length", told or "0")
            self.end_headers()
            if is_head:
                return
            if self.command == "GET" and raw:
                proxy.bodies.append(self.path)
            if self.command == "GET" and len(raw) > 1 and proxy.breaks():
                self.wfile.write(raw[: len(raw) // 2])
                self.close_connection = True
                return
            self.wfile.write(raw)

        def _body(self) -> bytes | None:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                length = int(self.headers.get("Content-Length") or 0)
                return self.rfile.read(length) if length else None
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Log nothing."""

    return Handler


@contextmanager
def faulty_proxy(host: str, port: int, *, share: float) -> Iterator[tuple[FaultyProxy, str]]:
    """Run a proxy on a free port; yield it and its address."""
    proxy = FaultyProxy(host, port, share=share)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
