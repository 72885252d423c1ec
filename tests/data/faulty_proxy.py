"""A small HTTP proxy that breaks some of the responses it forwards."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class FaultyProxy:
    """Proxy to one server that truncates a share of the bodies of responses to GET."""

    def __init__(self, host: str, port: int, *, share: float, seed: int = 0) -> None:
        self.upstream = (host, port)
        self.share = share
        self.n_answers = 0
        self.n_cut = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def breaks(self) -> bool:
        """Return whether this response is to be truncated."""
        with self._lock:
            self.n_answers += 1
            is_cut = self._random.random() < self.share
            self.n_cut += is_cut
            return is_cut


def _handler(proxy: FaultyProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self._body()
            upstream = http.client.HTTPConnection(*proxy.upstream, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            upstream.request(self.command, self.path, body=body, headers=headers)
            answer = upstream.getresponse()
            raw = answer.read()
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
