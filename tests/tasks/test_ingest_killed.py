"""An ingest that was killed with SIGKILL is completed by the next run."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from processes import PROCESSES

from assay.data.sources.find import SourceOptions, find_items
from assay.data.store.lake import Lake
from assay.tasks import ingest
from assay.tasks.batches import chunks
from assay.tasks.ingest_counts import IngestCounts

pytestmark = pytest.mark.xdist_group("forked")  # one process forks what is killed

N_PICTURES = 40
N_COPIES = 8
N_BAD = 4
N_ITEMS = N_PICTURES + N_COPIES + N_BAD


def ingest_once(lake_uri: Path, source: Path, run_id: str, point: str, nth: int, out: Any) -> None:
    """Ingest once in a child that kills itself at the n-th passage of a point."""
    seen = itertools.count(1)

    def die_at(here: str) -> None:
        if here == point and next(seen) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(name: str, label: Callable[..., str]) -> None:
        real = getattr(Lake, name)

        def wrapped(self: Lake, *args: Any, **kwargs: Any) -> Any:
            die_at(f"before {label(*args)}")
            result = real(self, *args, **kwargs)
            die_at(f"after {label(*args)}")
            return result

        setattr(Lake, name, wrapped)

    ingest.FLUSH_BYTES = 12_000
    wrap("write_shard", lambda *_: "shard")
    wrap("append", lambda table, *_: table)
    options = SourceOptions()
    out.send("started")
    lake = Lake(lake_uri)
    total = IngestCounts()
    for index, items in enumerate(chunks(find_items([str(source)], options), max_items=20)):
        total += ingest.ingest_chunk(
            lake,
            items,
            batch_id="b-1",
            run_id=run_id,
            chunk_index=index,
            options=options,
            n_workers=2,
        )
    out.send((total.items, total.stored, total.duplicates, total.rejected, total.unchanged))


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


class Ingest:
    """An ingest in a process of its own, forked."""

    def __init__(
        self, lake: Path, source: Path, *, run: int, point: str = "", nth: int = 0
    ) -> None:
        self.answers, out = PROCESSES.Pipe(duplex=False)
        arguments = (lake, source, f"run-{run}", point, nth, out)
        self.process = PROCESSES.Process(target=ingest_once, args=arguments)
        self.process.start()
        out.close()
        assert self.answers.recv() == "started"

    def end(self) -> int | None:
        """Return the exit code, once there is one."""
        self.process.join(timeout=120)
        return self.process.exitcode

    def counts(self) -> list[int]:
        """Of a run that came to its end: items, stored, duplicates, rejected, unchanged."""
        assert self.end() == 0
        return list(self.answers.recv())


def finish(lake: Path, source: Path, *, run: int) -> list[int]:
    """Run to the end and return items, stored, duplicates, rejected, unchanged."""
    return Ingest(lake, source, run=run).counts()


def check_nothing_dangles(uri: Path) -> None:
    """Check what holds at any moment, also right after a kill."""
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
    """Check what holds after a completed run."""
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
    """A run that was killed at the first or third passage of a point is completed by the next."""
    lake = tmp_path / "lake"
    assert Ingest(lake, source, run=1, point=point, nth=nth).end() == -signal.SIGKILL
    check_nothing_dangles(lake)
    counts = finish(lake, source, run=2)
    assert counts[:4] == [N_ITEMS, N_PICTURES, N_COPIES, N_BAD]
    check_whole(lake, source)


@pytest.mark.slow
def test_killed_at_random_times(tmp_path: Path, source: Path) -> None:
    """Twelve kills at random times in one lake are completed by one run."""
    lake = tmp_path / "lake"
    rng = random.Random(5)
    kills = 0
    for run in range(12):
        killed = Ingest(lake, source, run=run)
        time.sleep(rng.uniform(0, 0.35))
        killed.process.kill()
        kills += killed.end() == -signal.SIGKILL
        check_nothing_dangles(lake)
    assert kills >= 3
    assert finish(lake, source, run=99)[:4] == [N_ITEMS, N_PICTURES, N_COPIES, N_BAD]
    check_whole(lake, source)
    assert finish(lake, source, run=100) == [N_ITEMS, N_PICTURES, N_COPIES, N_BAD, N_ITEMS]


def test_killed_while_another_writer_waits(tmp_path: Path, source: Path) -> None:
    """A writer that dies with the lake's lock does not block another one."""
    lake = tmp_path / "lake"
    dying = Ingest(lake, source, run=1, point="before sightings", nth=2)
    living = Ingest(lake, source, run=2)
    dying.end()
    assert living.counts()[:4] == [N_ITEMS, N_PICTURES, N_COPIES, N_BAD]
    finish(lake, source, run=3)
    images = Lake(lake, create=False).scan("images").collect()
    assert images["image_id"].is_unique().all()
    assert images.height == N_PICTURES
