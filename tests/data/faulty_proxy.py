"""A small HTTP proxy that breaks some of the responses it forwards."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Iterator
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
            upstream = http.client.HTTPConnection(*proxy.upstream, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            upstream.request(self.command, self.path, body=body, headers=headers)
            answer = upstream.getresponse()
            raw = answer.read()
            upstream.close()
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
