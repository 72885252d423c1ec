"""What grows with a lake: opening a table by its log, ids in memory, and bytes per row.

Logs are made of entries that name files which do not exist; opening reads none of them. Each
figure is of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lake_size
import polars as pl
from deltalake import CommitProperties, Transaction
from deltalake.transaction import AddAction
from lake_size import Rows

from assay.data.schema import SORTED_BY
from assay.data.score_key import ScoreKey
from assay.data.store.known_values import KnownValues
from assay.data.store.lake import Lake
from assay.data.store.table_files import encode, encode_groups
from assay.data.store.upkeep.compaction import row_group_rows

KEY = ScoreKey(detector="stand-in@1", weights_sha256="0" * 64, profile="p", precision="fp32")
LOGS = {
    "an empty log": (0, 0),
    "1,000 files": (1000, 0),
    "10,000 files": (10_000, 0),
    "100,000 files": (100_000, 0),
    "10,000 transactions": (0, 10_000),
    "100,000 transactions": (0, 100_000),
    "1,000,000 transactions": (0, 1_000_000),
}


def main() -> None:
    """Print the tables of figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="Ids to keep in memory.")
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "LAKE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure = {"open": opening, "ids": ids_in_memory}[arguments.one[0]]
        print(json.dumps(measure(Lake(arguments.one[1]))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        bytes_per_row(50_000)
        print(f"{'the log has':>24} {'opening, CPU s':>14} {'files, CPU s':>12} {'MB':>6} log MB")
        for number, (name, (n_files, n_txns)) in enumerate(LOGS.items()):
            lake = Lake(Path(scratch) / f"log-{number}")
            make_log(lake, n_files, n_txns)
            log = Path(lake.path("tables/scores/_delta_log"))
            n_bytes = sum(file.stat().st_size for file in log.glob("*.checkpoint.parquet"))
            told = in_a_process("open", lake)
            print(
                f"{name:>24} {told['open_s']:14.3f} {told['files_s']:12.3f} {told['mb']:6.0f}"
                f" {n_bytes / 1e6:6.1f}",
                flush=True,
            )
        lake = Lake(Path(scratch) / "ids")
        rows = Rows(KEY, "p", seed=1, is_coarse=False)
        for _ in range(0, arguments.rows, 250_000):
            frame = rows.of(250_000)["images"].sort(SORTED_BY["images"])
            lake.append("images", rows.as_table("images", frame), txn=os.urandom(4).hex())
        told = in_a_process("ids", lake)
        print(f"{arguments.rows:,} ids: {told['cpu_s']:.2f} CPU s, {told['mb']:.0f} MB kept")


def bytes_per_row(n_rows: int) -> None:
    """Print the bytes per row of each table as commits of 1,000 rows and as one merged file."""
    lake_size.DIMENSIONS = 384
    rows = Rows(KEY, "p", seed=2, is_coarse=False)
    rows._embeddings = rows._rng.standard_normal((n_rows, 384), dtype="float32")
    print(f"{'table':>10} {'committed, B':>12} {'merged, B':>10}   per row, embeddings of 384")
    for table, frame in rows.of(n_rows).items():
        if table == "runs":
            continue
        small = len(encode(rows.as_table(table, frame.head(1000))).raw) / 1000
        whole = rows.as_table(table, frame.sort(SORTED_BY[table]))
        n_at_once = row_group_rows(whole)
        groups = (whole.slice(at, n_at_once) for at in range(0, n_rows, n_at_once))
        large = len(encode_groups(whole.schema, groups).raw) / n_rows
        print(f"{table:>10} {small:12.0f} {large:10.0f}", flush=True)


def make_log(lake: Lake, n_files: int, n_txns: int) -> None:
    """Make a table of scores with a checkpoint of files and transactions."""
    rows = Rows(KEY, "p", seed=3, is_coarse=False)
    table = rows.as_table("scores", rows.of(1000)["scores"])
    file = encode(table)
    lake.append("scores", table, txn="first")
    opened = lake.tables.open("scores")
    assert opened is not None
    now_ms = time.time_ns() // 1_000_000
    opened.create_write_transaction(
        [
            AddAction(
                path=f"part-{number:016x}-{number:032x}.zstd.parquet",
                size=len(file.raw),
                partition_values={},
                modification_time=now_ms,
                data_change=True,
                stats=stats_of(file.stats),
            )
            for number in range(n_files)
        ],
        mode="append",
        schema=table.schema,
        commit_properties=CommitProperties(
            app_transactions=[
                Transaction(f"scores:20260101T000000Z-{number:06x}:{number:032x}", 1, now_ms)
                for number in range(n_txns)
            ]
        ),
    )
    opened.update_incremental()
    opened.create_checkpoint()


def stats_of(stats: str) -> str:
    """Return statistics with bounds of the ids of their own, as files of a lake have them."""
    told = json.loads(stats)
    told["minValues"]["image_id"] = os.urandom(32).hex()
    told["maxValues"]["image_id"] = os.urandom(32).hex()
    return json.dumps(told)


def opening(lake: Lake) -> dict[str, float]:
    """Open a table as every commit does, and list its files as every reader does."""
    before_mb = rss_mb()
    started_s = time.process_time()
    opened = lake.tables.open("scores")
    open_s = time.process_time() - started_s
    assert opened is not None
    opened.transaction_version("none")
    started_s = time.process_time()
    lake.tables.listed("scores")
    files_s = time.process_time() - started_s - open_s  # `listed` opens the table too
    return {"open_s": open_s, "files_s": max(files_s, 0.0), "mb": rss_mb() - before_mb}


def ids_in_memory(lake: Lake) -> dict[str, float]:
    """Ask for a thousand unknown ids, as the first chunk of a run does."""
    asked = [os.urandom(32).hex() for _ in range(1000)]
    lake.scan("images").head(1).select(pl.len()).collect()
    before_mb = rss_mb()
    started_s = time.process_time()
    known = KnownValues(lake.tables, "images", "image_id")
    known.among(asked)
    return {"cpu_s": time.process_time() - started_s, "mb": rss_mb() - before_mb}


def in_a_process(what: str, lake: Lake) -> dict[str, float]:
    """Measure in a new process."""
    command = [sys.executable, __file__, "--one", what, lake.uri]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def rss_mb() -> float:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
