"""Ingest killed with SIGKILL: whatever was cut off, the next run makes the tables whole."""

from __future__ import annotations

import hashlib
import io
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from assay.data.store.lake import Lake

N_PICTURES = 40
N_COPIES = 8
N_BAD = 4
N_ITEMS = N_PICTURES + N_COPIES + N_BAD

# Runs one ingest. With a commit point, the process kills itself the n-th time it gets there.
INGEST = """
import os, signal, sys
from assay.data.store.lake import Lake
from assay.data.sources.find import SourceOptions, find_items
from assay.tasks import ingest
from assay.tasks.batches import chunks
from assay.tasks.ingest_counts import IngestCounts

lake_uri, source, run_id, point, nth = sys.argv[1:]
ingest.FLUSH_BYTES = 12_000
seen = 0

def die_at(here):
    global seen
    if here == point:
        seen += 1
        if seen == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)

def wrap(name, label):
    real = getattr(Lake, name)
    def wrapped(self, *args, **kwargs):
        die_at("before " + label(args))
        result = real(self, *args, **kwargs)
        die_at("after " + label(args))
        return result
    setattr(Lake, name, wrapped)

wrap("write_shard", lambda args: "shard")
wrap("append", lambda args: args[0])

options = SourceOptions()
print("started", flush=True)
lake = Lake(lake_uri)
total = IngestCounts()
for index, items in enumerate(chunks(find_items([source], options), max_items=20)):
    total += ingest.ingest_chunk(
        lake, items, batch_id="b-1", run_id=run_id, chunk_index=index, options=options, n_workers=2
    )
print(total.items, total.stored, total.duplicates, total.rejected, total.unchanged)
"""

POINTS = [
    f"{when} {what}" for what in ("shard", "images", "sightings") for when in ("before", "after")
]


def noise(seed: int) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", (30, 20), random.Random(seed).randbytes(1800)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for n in range(N_PICTURES):
        (folder / f"{n:02d}.png").write_bytes(noise(n))
    for n in range(N_COPIES):
        (folder / f"{n * 5:02d}-copy.png").write_bytes(noise(n * 3))
    for n in range(N_BAD):
        (folder / f"{n * 9:02d}-bad.png").write_bytes(noise(100 + n)[:60] if n else b"")
    return folder


def start(
    lake: Path, source: Path, *, run: int, point: str = "", nth: int = 0
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", INGEST, str(lake), str(source), f"run-{run}", point, str(nth)],
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(lake: Path, source: Path, *, run: int) -> list[int]:
    """Run to the end; items, stored, duplicates, rejected, unchanged."""
    process = start(lake, source, run=run)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [int(word) for word in out.splitlines()[-1].split()]


def check_nothing_dangles(uri: Path) -> None:
    """What must hold at any moment, also right after a kill."""
    if not (uri / "assay-lake.json").exists():
        return
    lake = Lake(uri, create=False)
    images = lake.scan("images").collect()
    assert images["image_id"].is_unique().all()
    assert sum(1 for _ in lake.images(images["image_id"].to_list())) == images.height
    sightings = lake.scan("sightings").collect()
    known = set(images["image_id"])
    assert all(image_id in known for image_id in sightings["image_id"].drop_nulls())


def check_whole(uri: Path, source: Path) -> None:
    """What must hold after a run that came to its end."""
    check_nothing_dangles(uri)
    lake = Lake(uri, create=False)
    files = {path.as_uri(): path.read_bytes() for path in source.iterdir()}
    sightings = lake.scan("sightings").sort("seen_at").collect()
    # Kills and repeats add no second row, since no file changed.
    assert sorted(sightings["source_uri"]) == sorted(files)
    stored = sightings.filter(status="stored")
    assert stored.height == N_PICTURES
    assert stored["image_id"].is_unique().all()
    for uri_of_item, status, image_id in sightings.select(
        "source_uri", "status", "image_id"
    ).iter_rows():
        expected = hashlib.sha256(files[uri_of_item]).hexdigest() if status != "rejected" else None
        assert image_id == expected
    images = set(lake.scan("images").collect()["image_id"])
    assert images == {hashlib.sha256(noise(n)).hexdigest() for n in range(N_PICTURES)}
    shards = set(lake.scan("images").collect()["shard"])
    lake.sweep(older_than_s=-60)
    left = {f"shards/{path.name}" for path in (Path(lake.uri) / "shards").iterdir()}
    assert left == shards
    check_nothing_dangles(Path(lake.uri))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("nth", [1, 3])
def test_killed_at_a_commit_point(tmp_path: Path, source: Path, point: str, nth: int) -> None:
    """Killed at the first and at the third passage of each point, then run again."""
    lake = tmp_path / "lake"
    process = start(lake, source, run=1, point=point, nth=nth)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    check_nothing_dangles(lake)
    counts = finish(lake, source, run=2)
    assert counts[:4] == [N_ITEMS, N_PICTURES, N_COPIES, N_BAD]
    check_whole(lake, source)


@pytest.mark.slow
def test_killed_at_random_times(tmp_path: Path, source: Path) -> None:
    """Twelve times killed in one lake, each somewhere else, then run to the end."""
    lake = tmp_path / "lake"
    rng = random.Random(5)
    kills = 0
    for run in range(12):
        process = start(lake, source, run=run)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(rng.uniform(0, 0.35))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        check_nothing_dangles(lake)
    assert kills >= 3
    assert finish(lake, source, run=99)[:4] == [N_ITEMS, N_PICTURES, N_COPIES, N_BAD]
    check_whole(lake, source)
    assert finish(lake, source, run=100) == [N_ITEMS, N_PICTURES, N_COPIES, N_BAD, N_ITEMS]


def test_killed_while_another_writer_waits(tmp_path: Path, source: Path) -> None:
    """A writer that dies holding the lake's lock does not keep the other one out."""
    lake = tmp_path / "lake"
    dying = start(lake, source, run=1, point="before sightings", nth=2)
    living = start(lake, source, run=2)
    dying.communicate(timeout=120)
    out, _ = living.communicate(timeout=120)
    assert living.returncode == 0
    assert [int(word) for word in out.split()[-5:-1]] == [N_ITEMS, N_PICTURES, N_COPIES, N_BAD]
    finish(lake, source, run=3)
    images = Lake(lake, create=False).scan("images").collect()
    assert images["image_id"].is_unique().all()
    assert images.height == N_PICTURES
