"""How many commits per second several writers bring into one table, in a folder and on S3.

Each writer is a process that commits rows of scores of images of its own as a run does: 1,000 rows
per commit, computed anew after a conflict. The S3 server is moto on this machine; with a delay,
each of its answers waits as long as one of a real store would.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
from s3_on_loopback import s3_server

from assay.data.errors import CommitConflict
from assay.data.schema import Row
from assay.data.score_key import ScoreKey
from assay.data.store.lake import Lake
from assay.tasks.score import commit_rows

KEY = ScoreKey(detector="stand-in@1", weights_sha256="0" * 64, profile="p", precision="fp32")
DIMENSIONS = 384


def main() -> None:
    """Print one line per store and number of writers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--commits", type=int, default=40, help="Commits of all writers together.")
    parser.add_argument("--rows", type=int, default=1000, help="Rows per commit.")
    parser.add_argument("--stores", nargs="+", default=["folder", "s3"])
    parser.add_argument("--delay-ms", type=float, default=0.0, help="Delay of answers of S3.")
    parser.add_argument("--one", nargs=2, metavar=("LAKE", "COMMITS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(write(arguments.one[0], int(arguments.one[1]), arguments.rows)))
        return
    print(
        f"{'store':>6} {'writers':>7} {'commits/s':>9} {'attempts':>8} {'CPU ms':>7}"
        f" {'slowest s':>9} {'failed':>6}   attempts and CPU per commit"
    )
    for store in arguments.stores:
        with folders() if store == "folder" else buckets(arguments.delay_ms / 1000) as new_lake:
            for n_writers in arguments.writers:
                line(store, next(new_lake), n_writers, arguments.commits, arguments.rows)


@contextlib.contextmanager
def folders() -> Iterator[Iterator[str]]:
    """Yield addresses of lakes in a temporary folder."""
    with tempfile.TemporaryDirectory() as scratch:
        yield (f"{scratch}/lake-{number}" for number in range(1000))


@contextlib.contextmanager
def buckets(delay_s: float) -> Iterator[Iterator[str]]:
    """Yield addresses of lakes on an S3 server, with the variables that lead to it."""
    with s3_server("lakes", lambda _request: time.sleep(delay_s)):
        yield (f"s3://lakes/lake-{number}" for number in range(1000))


def line(store: str, uri: str, n_writers: int, n_commits: int, n_rows: int) -> None:
    """Let writers commit at once, and print their figures."""
    write(uri, 1, n_rows, is_waiting=False)  # the table exists
    command = [sys.executable, __file__, "--rows", str(n_rows), "--one", uri]
    writers = [
        subprocess.Popen(
            [*command, str(n_commits // n_writers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(n_writers)
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()  # ready
    started_s = time.perf_counter()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    told = [json.loads(writer.communicate()[0]) for writer in writers]
    seconds = time.perf_counter() - started_s
    total = {name: sum(one[name] for one in told) for name in ("done", "attempts", "cpu_s")}
    failed = n_commits // n_writers * n_writers - total["done"]
    done = max(total["done"], 1)
    print(
        f"{store:>6} {n_writers:7} {total['done'] / seconds:9.2f} {total['attempts'] / done:8.2f}"
        f" {total['cpu_s'] / done * 1000:7.0f} {max(one['slowest_s'] for one in told):9.2f}"
        f" {failed:6}",
        flush=True,
    )


def write(uri: str, n_commits: int, n_rows: int, *, is_waiting: bool = True) -> dict[str, float]:
    """Commit rows of new images, after a word on stdin; return counts and times."""
    lake = Lake(uri)
    commits = [rows_of_scores(n_rows) for _ in range(n_commits)]
    attempts = 0
    append = lake.tables.append

    def counted(*args: object, **kwargs: object) -> bool:
        nonlocal attempts
        attempts += 1
        return append(*args, **kwargs)  # type: ignore[arg-type]

    lake.tables.append = counted  # type: ignore[method-assign,assignment]
    if is_waiting:
        print("ready", flush=True)
        sys.stdin.readline()
    done, slowest_s, cpu_s = 0, 0.0, time.process_time()
    for rows in commits:
        started_s = time.perf_counter()
        with contextlib.suppress(CommitConflict):
            commit_rows(lake, rows, KEY, os.urandom(4).hex(), since=lake.version("scores"))
            done += 1
        slowest_s = max(slowest_s, time.perf_counter() - started_s)
    cpu_s = time.process_time() - cpu_s
    return {"done": done, "attempts": attempts, "slowest_s": slowest_s, "cpu_s": cpu_s}


def rows_of_scores(n_rows: int) -> list[Row]:
    """Return rows of scores of images with random ids."""
    now = datetime.now(UTC)
    embedding = np.random.default_rng().standard_normal(DIMENSIONS, dtype=np.float32)
    return [
        {
            "image_id": os.urandom(32).hex(),
            **KEY.as_row(),
            "backend": "none",
            "status": "scored",
            "reason": None,
            "logit": 0.5,
            "prob_fake": 0.6,
            "embedding": embedding,
            "run_id": "stand-in",
            "code_version": "0",
            "scored_at": now,
        }
        for _ in range(n_rows)
    ]


if __name__ == "__main__":
    main()
