"""Memory and time of listing a prefix with many keys, from a server that makes up the pages.

    python benchmarks/list_keys.py --keys 1000000

The server is a process of its own, so that its time and memory do not count.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from assay.data.sources.find import SourceOptions, find_items

PAGE = 1000
ENTRY = (
    "<Contents><Key>in/{:09}.jpg</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    '<ETag>"{:032x}"</ETag><Size>100000</Size></Contents>'
)
HEAD = '<?xml version="1.0"?><ListBucketResult><Name>b</Name><Prefix>in/</Prefix>'


def serve(n_keys: int, port: multiprocessing.Queue[int]) -> None:
    """Answer listings of `n_keys` keys below `in/`; nothing else exists."""

    class Pages(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answer with the page that the token names."""
            start = int(parse_qs(urlsplit(self.path).query).get("continuation-token", ["0"])[0])
            end = min(start + PAGE, n_keys)
            entries = "".join(ENTRY.format(n, n) for n in range(start, end))
            more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < n_keys else ""
            cut = str(end < n_keys).lower()
            body = f"{HEAD}<IsTruncated>{cut}</IsTruncated>{more}{entries}</ListBucketResult>"
            self._answer(200, body.encode())

        def do_HEAD(self) -> None:
            """Answer that the object does not exist."""
            self._answer(404, b"")

        def _answer(self, status: int, raw: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    port.put(server.server_address[1])
    server.serve_forever()


def main() -> None:
    """List once and print figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    n_keys = parser.parse_args().keys
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    server = context.Process(target=serve, args=(n_keys, port), daemon=True)
    server.start()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port.get()}",
        "AWS_ALLOW_HTTP": "true",
    }
    before = resource.getrusage(resource.RUSAGE_SELF)
    started_s = time.perf_counter()
    first_s = None
    n_items = 0
    for _ in find_items(["s3://b/in"], SourceOptions()):
        first_s = first_s or time.perf_counter() - started_s
        n_items += 1
    after = resource.getrusage(resource.RUSAGE_SELF)
    server.terminate()
    print(
        json.dumps(
            {
                "keys": n_items,
                "cpu_s": round(
                    after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1
                ),
                "wall_s": round(time.perf_counter() - started_s, 1),
                "first_item_s": round(first_s or 0, 1),
                "peak_mb_before": before.ru_maxrss // 1024,
                "peak_mb_after": after.ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
