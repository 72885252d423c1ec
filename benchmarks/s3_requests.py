"""How many requests a run sends to S3 per image, by kind, with the lake and the images there.

The server is moto, in this process, and counts what it is asked. The detector is a stand-in.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

from flat_cost import StandIn, images
from s3_on_loopback import s3_server

import assay
import assay.flows.run as runs
from assay.flows.request import Request

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


def main() -> None:
    """Print the requests of first runs and of runs over known images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 3000])
    parser.add_argument("--per-task", type=int, help="Images per task, for many commits soon.")
    arguments = parser.parse_args()
    runs.IMAGES_PER_TASK = arguments.per_task or runs.IMAGES_PER_TASK
    counts: Counter[tuple[str, str]] = Counter()

    def count(environ: dict[str, Any]) -> None:
        counts[kind_of(environ)] += 1

    with s3_server("bucket", count) as client:
        name = assay.offer_detector(StandIn(n_dimensions=384))
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
