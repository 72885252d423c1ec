"""What a small run costs on a lake of N images, against the same run on an empty lake.

The lakes are made from rows: every table has the columns and the spread of values of a real one,
the large files are sorted as compaction leaves them (`--unsorted` shuffles them), and each table
has some small files of recent commits. Few images have bytes; the runs read none of the others.
With `--coarse`, embeddings have 16 distinct numbers and take an eighth of their disk space, so that
ten million fit; what is read of them in memory stays as large.

A round measures every command once on every lake, each in a process of its own, so that the speed
of a busy machine cancels out in the ratios. CPU seconds are those of the process.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction
from photos import photos_between, write_photos

from assay.data.images.inspect_image import UPRIGHT_PIXELS
from assay.data.schema import SORTED_BY, TABLES
from assay.data.score_key import ScoreKey
from assay.data.store.conform import conform
from assay.data.store.lake import Lake
from assay.data.store.table_files import statistics_of
from assay.flows.judging import identity_of, policy_of
from assay.flows.request import Request

SIZES = {"0": 0, "100k": 100_000, "1M": 1_000_000, "10M": 10_000_000}
IMAGES_PER_FILE = 500_000
IMAGES_PER_BATCH = 1_000
ROWS_PER_GROUP = 16_384
BYTES_PER_GROUP = 4 * 2**20
SMALL_COMMITS = 20
DIMENSIONS = 192
DETECTOR = "mini"

PROBE = """
import collections, json, sys, time
began = time.process_time()
import assay.flows.run as run
import assay.flows.steps as steps
from assay.data.store import tables
from assay.flows.request import Request
opened, spent = collections.Counter(), collections.Counter()
class Counted(tables.DeltaTable):
    def __init__(self, uri, *args, **kwargs):
        opened[str(uri).rsplit("/", 1)[-1]] += 1
        super().__init__(uri, *args, **kwargs)
tables.DeltaTable = Counted
inside = [0.0]
def timed(holder, name):
    work = getattr(holder, name)
    def call(*args, **kwargs):
        began, nested = time.perf_counter(), inside[0]
        try:
            return work(*args, **kwargs)
        finally:
            took = time.perf_counter() - began
            spent[name] += took - (inside[0] - nested)
            inside[0] = nested + took
    setattr(holder, name, call)
for name in ("require_tables", "require_fit", "close_dead_runs", "images_of", "pending"):
    timed(run, name)
for name in ("decide_images", "write_report", "ingest_chunk"):
    timed(steps, name)
timed(tables.Tables, "append")
request = Request(lake=sys.argv[2], sources=(sys.argv[1],), detector=sys.argv[3])
started = time.perf_counter()
run.run(request)
spent["the rest"] = time.perf_counter() - started - inside[0]
print(json.dumps({"opened": opened, "spent": spent}))
"""


class Rows:
    """Rows of the tables about images with random ids, all scored and decided by one detector."""

    def __init__(self, key: ScoreKey, policy_id: str, seed: int, *, is_coarse: bool) -> None:
        self._rng = np.random.default_rng(seed)
        self._key = key
        self._policy_id = policy_id
        self._embeddings = self._rng.standard_normal((65_536, DIMENSIONS), dtype=np.float32)
        if is_coarse:
            self._embeddings = (np.clip(np.floor(self._embeddings * 3), -8, 7) + 0.5) / 3
        self._n_batches = 0

    def of(self, n: int) -> dict[str, pl.DataFrame]:
        """Return the rows of `n` further images by table."""
        rng = self._rng
        ids = pl.Series("image_id", _hex(rng, n, 64))
        batch = np.arange(n) // IMAGES_PER_BATCH + self._n_batches
        day = datetime(2026, 1, 1, tzinfo=UTC)
        frame = pl.DataFrame({"image_id": ids, "n": np.arange(n), "batch": batch}).with_columns(
            batch_id=pl.format("{}-batch", pl.col("batch").hash(3).cast(pl.String)),
            run_id=pl.format("20260101T000000Z-{}", pl.col("batch").cast(pl.String)),
            at=pl.lit(day) + pl.duration(seconds=pl.col("batch"), microseconds=pl.col("n")),
            prob_fake=pl.Series(rng.beta(0.4, 0.6, n).astype(np.float32)),
            width_px=pl.Series(rng.integers(200, 2000, n, dtype=np.int32)),
            phash=pl.Series(_hex(rng, n, 16)),
        )
        self._n_batches = int(batch[-1]) + 1
        key = {name: pl.lit(value) for name, value in self._key.as_row().items()}
        text = pl.lit(None, pl.String)
        return {
            "images": frame.select(
                "image_id",
                pl.format("shards/{}.parquet", pl.col("batch").hash(5).cast(pl.String)).alias(
                    "shard"
                ),
                row_group=(pl.col("n") % 1000 // 64).cast(pl.Int32),
                row=(pl.col("n") % 64).cast(pl.Int32),
                n_bytes=pl.col("width_px").cast(pl.Int64) * 100,
                format=pl.lit("JPEG"),
                mode=pl.lit("RGB"),
                width_px="width_px",
                height_px="width_px",
                n_frames=pl.lit(1, pl.Int32),
                phash="phash",
                phash_of=pl.lit(UPRIGHT_PIXELS),
                jpeg_quality=pl.lit(90, pl.Int32),
                capture=pl.lit(
                    None, pl.Struct(dict.fromkeys(["make", "model", "software"], pl.String))
                ),
                ai_declared=text,
                doubt=text,
                batch_id="batch_id",
                ingested_at="at",
            ),
            "sightings": frame.select(
                "batch_id",
                source_uri=pl.format("s3://archive/{}/{}.jpg", pl.col("batch"), pl.col("n")),
                status=pl.lit("stored"),
                reason=text,
                detail=text,
                image_id="image_id",
                domain=text,
                label=text,
                fingerprint=pl.col("n").hash(9).cast(pl.String),
                seen_at="at",
            ),
            "scores": frame.select(
                "image_id",
                **key,
                backend=pl.lit("openvino-cpu"),
                status=pl.lit("scored"),
                reason=text,
                logit=(pl.col("prob_fake") / (1 - pl.col("prob_fake"))).log().cast(pl.Float32),
                prob_fake="prob_fake",
                embedding=pl.lit(None, pl.List(pl.Float32)),
                run_id="run_id",
                code_version=pl.lit("0.2.0"),
                scored_at="at",
            ),
            "decisions": frame.select(
                "image_id",
                **key,
                policy_id=pl.lit(self._policy_id),
                calibration_id=text,
                prob_calibrated=pl.lit(None, pl.Float32),
                p_real=pl.lit(None, pl.Float32),
                decision=pl.when(pl.col("prob_fake") > 0.5)
                .then(pl.lit("flag"))
                .otherwise(pl.lit("clear")),
                reasons=pl.concat_list(pl.lit("below_review_threshold")),
                group_id=text,
                run_id="run_id",
                decided_at="at",
                inputs_sha256=text,
                log_index=pl.lit(None, pl.Int64),
                previous_sha256=text,
            ),
            "runs": frame.unique("batch", maintain_order=True).select(
                "run_id",
                flow=pl.lit("moderate"),
                status=pl.lit("completed"),
                params=pl.concat_str(
                    pl.lit('{"batch_id": "'),
                    "batch_id",
                    pl.lit(f'", "rest": "{"x" * 2000}"}}'),
                ),
                config_sha256=pl.lit("0" * 64),
                code_version=pl.lit("0.2.0"),
                started_at="at",
                finished_at="at",
                counts=pl.lit("{}"),
            ),
        }

    def as_table(self, table: str, rows: pl.DataFrame) -> pa.Table:
        """Return rows in the table's schema; scores get embeddings."""
        if table != "scores":
            return conform(table, rows)
        n = rows.height
        at = self._rng.integers(0, len(self._embeddings), n)
        flat = pa.array(self._embeddings[at].ravel())
        offsets = pa.array(np.arange(0, n * DIMENSIONS + 1, DIMENSIONS, dtype=np.int32))
        given = rows.drop("embedding").to_arrow()
        columns = {name: given.column(name) for name in given.column_names}
        columns["embedding"] = pa.ListArray.from_arrays(offsets, flat)
        return conform(table, pa.table(columns).select(TABLES["scores"].names))


def _hex(rng: np.random.Generator, n: int, n_digits: int) -> list[str]:
    """Return `n` random texts of hex digits."""
    digits = rng.bytes(n_digits // 2 * n).hex()
    return [digits[at : at + n_digits] for at in range(0, n_digits * n, n_digits)]


def make_lake(folder: Path, n_images: int, *, is_sorted: bool, is_coarse: bool) -> Lake:
    """Make a lake of `n_images` images."""
    lake = Lake(folder)
    request = Request(lake=str(folder), sources=(".",), detector=DETECTOR)
    detector = identity_of(request)
    policy_id = policy_of(request, detector).policy_id
    rows = Rows(detector.key, policy_id, seed=n_images, is_coarse=is_coarse)
    left = n_images
    while left > 0:
        n = min(left, IMAGES_PER_FILE)
        for table, frame in rows.of(n).items():
            laid = frame.sort(SORTED_BY[table]) if is_sorted else frame
            _add_file(lake, table, rows.as_table(table, laid))
        left -= n
    for number in range(SMALL_COMMITS if n_images else 0):
        for table, frame in rows.of(10).items():
            lake.append(table, rows.as_table(table, frame), txn=f"small:{number}")
    return lake


def _add_file(lake: Lake, table: str, rows: pa.Table) -> None:
    opened = lake.tables.create(table)
    path = Path(lake.path("tables", table, "new.parquet"))
    group = min(ROWS_PER_GROUP, BYTES_PER_GROUP * rows.num_rows // rows.nbytes)
    pq.write_table(rows, path, compression="zstd", row_group_size=group, compression_level=1)
    stats = statistics_of(pq.read_metadata(path))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    # A file without a hash in its name would be read to be checked.
    name = f"part-{secrets.token_hex(8)}-{digest}.zstd.parquet"
    path = path.rename(path.with_name(name))
    size = path.stat().st_size
    add = AddAction(
        path=name,
        size=size,
        partition_values={},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=stats,
    )
    opened.create_write_transaction([add], mode="append", schema=rows.schema)


def _timed(command: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Return wall and CPU seconds of a process, and its output."""
    with tempfile.TemporaryFile() as out:
        started_s = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started_s
        if status:
            raise SystemExit(f"{' '.join(command)} failed with status {status}")
        out.seek(0)
        return wall_s, usage.ru_utime + usage.ru_stime, out.read().decode()


def _commands(
    lake: Path, photos: Path, query: str, policy: Path | None
) -> Iterator[tuple[str, list[str]]]:
    assay = [sys.executable, "-m", "assay"]
    at = ["--lake", str(lake), "--json"]
    moderate = [*assay, "moderate", str(photos), "--detector", DETECTOR, "--no-server", *at]
    moderate += [] if policy is None else ["--policy", str(policy)]
    yield "ten new images", moderate
    yield "the same source again", moderate
    yield "report", [*assay, "report", "latest", "--lake", str(lake)]
    yield "show", [*assay, "show", query, *at]
    yield "similar by hash", [*assay, "similar", query, "--by", "phash", *at]


def main() -> None:
    """Make the lakes, measure every command on each, and print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["0", "100k", "1M"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--unsorted", action="store_true", help="rows of large files in any order")
    parser.add_argument("--coarse", action="store_true", help="embeddings of 16 distinct numbers")
    parser.add_argument(
        "--policy", type=Path, help='policy file, such as one of copies = "together"'
    )
    parser.add_argument("--folder", type=Path, help="folder of the lakes, which is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        here = arguments.folder or Path(scratch)
        environment = os.environ | {"ASSAY_CACHE": str(here / "cache")}
        os.environ.update(environment)
        lakes: dict[str, Path] = {}
        for size in arguments.sizes:
            lakes[size] = here / f"lake-{size}{'-unsorted' if arguments.unsorted else ''}"
            if not lakes[size].exists():
                started_s = time.perf_counter()
                make_lake(
                    lakes[size],
                    SIZES[size],
                    is_sorted=not arguments.unsorted,
                    is_coarse=arguments.coarse,
                )
                print(f"made the lake of {size} in {time.perf_counter() - started_s:.0f} s")
        measure(lakes, here, environment, arguments.rounds, arguments.policy)


def measure(
    lakes: dict[str, Path],
    here: Path,
    environment: dict[str, str],
    rounds: int,
    policy: Path | None = None,
) -> None:
    """Measure every command on every lake, in turn, and print the medians."""
    pictures = photos_between(None, 10 * (rounds + 2))
    wall: dict[tuple[str, str], list[float]] = {}
    cpu: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        folder = here / f"photos-{secrets.token_hex(4)}"
        write_photos(folder, _distinct(pictures[10 * number : 10 * number + 10]))
        query = next(folder.rglob("*.jpg"))
        for size, lake in lakes.items():
            for name, command in _commands(lake, folder, str(query), policy):
                wall_s, cpu_s, _ = _timed(command, environment)
                if number:  # the first round fills caches
                    wall.setdefault((name, size), []).append(wall_s)
                    cpu.setdefault((name, size), []).append(cpu_s)
        shutil.rmtree(folder)
    first = next(iter(lakes))
    for name in dict.fromkeys(name for name, _ in wall):
        for size in lakes:
            spent = [statistics.median(times[name, size]) for times in (wall, cpu)]
            base = [statistics.median(times[name, first]) for times in (wall, cpu)]
            ratios = " ".join(f"{s / b:5.2f}" for s, b in zip(spent, base, strict=True))
            print(f"{name:24} {size:>5}  {spent[0]:6.2f} s  CPU {spent[1]:6.2f} s  ratios {ratios}")
    folder = write_photos(here / "photos-probe", _distinct(pictures[-10:]))
    for size, lake in lakes.items():
        probe = [sys.executable, "-c", PROBE, str(folder), str(lake), DETECTOR]
        told = json.loads(_timed(probe, environment)[2])
        print(f"\nten new images, lake of {size}: {sum(told['opened'].values())} table openings")
        print("  " + ", ".join(f"{table} {n}" for table, n in told["opened"].items()))
        for name, seconds in sorted(told["spent"].items(), key=lambda item: -item[1]):
            print(f"  {name:20} {seconds:6.3f} s")
    shutil.rmtree(folder)


def _distinct(pictures: list[bytes]) -> list[bytes]:
    """Return JPEGs with other bytes and the same pixels, new to every lake."""
    return [raw + secrets.token_bytes(8) for raw in pictures]


if __name__ == "__main__":
    main()
