"""How many requests a run sends to S3 per image, by kind, with the lake and the images there.

The server is moto, in this process, and counts what it is asked. The detector is a stand-in.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import boto3
import numpy as np
from flat_cost import images
from moto.server import DomainDispatcherApplication, ThreadedMotoServer
from numpy.typing import NDArray

import assay
import assay.flows.run as runs
from assay.flows.request import Request
from assay.tasks.detector.weights.detector_card import Card, Square

# Amazon S3 counts a listing as a write.
WRITES = ("PUT", "POST", "COPY", "LIST")

# Parts of the bucket by what their addresses contain, the first that fits.
PARTS = {
    "_last_checkpoint": "openings",
    "_delta_log": "log",
    "tables": "rows",
    "shards": "shards",
    "in-": "sources",
}


class StandIn:
    """A detector of almost no cost with embeddings of a ViT-S."""

    card = Card(
        name="stand-in",
        version="1",
        licence="Apache-2.0",
        limits="None: its scores mean nothing.",
        input=Square(size_px=32),
    )

    def embed(self, rgb_u8_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return pixels as embeddings."""
        return rgb_u8_nhwc.reshape(len(rgb_u8_nhwc), -1)[:, :384].astype(np.float32)

    def score(self, rgb_u8_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the brightness as logits."""
        return rgb_u8_nhwc.mean(axis=(1, 2, 3), dtype=np.float64).astype(np.float32) / 64 - 2


def main() -> None:
    """Print the requests of first runs and of runs over known images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 3000])
    parser.add_argument("--per-task", type=int, help="Images per task, for many commits soon.")
    arguments = parser.parse_args()
    runs.IMAGES_PER_TASK = arguments.per_task or runs.IMAGES_PER_TASK
    counts: Counter[tuple[str, str]] = Counter()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    answer = DomainDispatcherApplication.__call__

    def counted(
        app: DomainDispatcherApplication, environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        counts[kind_of(environ)] += 1
        asked: Iterable[bytes] = answer(app, environ, start)
        return asked

    DomainDispatcherApplication.__call__ = counted
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="bucket")
    name = assay.offer_detector(StandIn())
    print(f"{'images':>7} {'run':>6}  requests per 1,000 images")
    for size in arguments.sizes:
        for key, raw in images(size):
            client.put_object(Bucket="bucket", Key=f"in-{size}/{key}", Body=raw)
        request = Request(
            sources=(f"s3://bucket/in-{size}",), lake=f"s3://bucket/lake-{size}", detector=name
        )
        for label in ("first", "known"):
            counts.clear()
            result = runs.run(request)
            if result.scored != (size if label == "first" else 0):
                print(f"scored {result.scored} of {size}: {result}", file=sys.stderr)
            show(label, size, counts)
    server.stop()


def kind_of(environ: dict[str, Any]) -> tuple[str, str]:
    """Return what a request asks and of which part of the bucket."""
    path, query = str(environ["PATH_INFO"]), str(environ["QUERY_STRING"])
    method = str(environ["REQUEST_METHOD"])
    if "list-type" in query:
        path, method = query, "LIST"
    parts = ((mark, part) for mark, part in PARTS.items() if mark in path)
    return method, next((part for _, part in parts), "other")


def show(label: str, size: int, counts: Counter[tuple[str, str]]) -> None:
    """Print the requests of a run, in total and by kind, per 1,000 images."""
    writes = sum(n for (method, _), n in counts.items() if method in WRITES)
    reads = sum(n for (method, _), n in counts.items() if method in {"GET", "HEAD"})
    parts = ", ".join(
        f"{method} {part} {n / size * 1000:.1f}" for (method, part), n in counts.most_common()
    )
    print(
        f"{size:7,} {label:>6}  PUT and LIST {writes / size * 1000:.1f},"
        f" GET and HEAD {reads / size * 1000:.1f}: {parts}",
        flush=True,
    )


if __name__ == "__main__":
    main()
