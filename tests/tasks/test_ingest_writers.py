"""Ingest with many threads and writers gives the same rows in the same order."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ingesting import (
    Given,
    ingest,
    ingest_items,
    item_at,
    picture,
    put,
    sha256,
    states,
)

from assay.data.errors import StoreError
from assay.data.store.lake import Lake
from assay.data.store.shards import write_shards

ROW = ["source_uri", "status", "reason", "image_id"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_the_outcome_does_not_depend_on_threads(tmp_path: Path) -> None:
    """The first item in order is stored, even if the second is read long before it."""
    late = threading.Event()
    raw = picture(1)

    def tell(_n_items: int) -> None:
        late.set()

    slow = [item_at(Given(raw, late), "a.png"), item_at(Given(raw), "b.png")]
    quick = [item_at(Given(raw), "a.png"), item_at(Given(raw), "b.png")]
    threading.Timer(0.2, late.set).start()
    ingest_items(Lake(tmp_path / "slow"), slow, n_workers=8, on_item=tell)
    ingest_items(Lake(tmp_path / "quick"), quick, n_workers=1)
    found = [Lake(tmp_path / name).scan("sightings").collect() for name in ("slow", "quick")]
    assert found[0].select(ROW).equals(found[1].select(ROW))
    assert found[0]["status"].to_list() == ["stored", "duplicate"]


def test_many_threads_give_the_same_shards_as_one(tmp_path: Path, source: Path) -> None:
    """Rows and shards are equal with one worker and with eight."""
    put(source, {f"{n:03d}.png": picture(n % 40) for n in range(60)})
    results = []
    for n_workers in (1, 8):
        lake = Lake(tmp_path / str(n_workers))
        ingest(lake, source, n_workers=n_workers, max_items=25)
        images = lake.scan("images").sort("shard", "row_group", "row")
        results.append(
            (
                lake.scan("sightings").sort("source_uri").select(ROW).collect(),
                images.select("image_id", "shard", "row_group", "row").collect(),
            )
        )
    assert results[0][0].equals(results[1][0])
    assert results[0][1].equals(results[1][1])


def test_two_writers_store_a_picture_once(tmp_path: Path, source: Path) -> None:
    """Two threads that ingest the same images into different batches agree on the first."""
    files = {f"{n}.png": picture(n) for n in range(20)}
    put(source, files)
    lake = Lake(tmp_path / "lake")
    start = threading.Barrier(2)

    def work(batch_id: str) -> None:
        start.wait()
        ingest(Lake(lake.uri), source, batch_id=batch_id, run_id=batch_id, max_items=5)

    threads = [threading.Thread(target=work, args=(f"b-{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lake.scan("images").collect()["image_id"]) == sorted(map(sha256, files.values()))
    sightings = lake.scan("sightings").collect()
    assert sightings.height == 40
    assert sightings.filter(status="stored")["image_id"].n_unique() == 20
    assert sightings.filter(status="stored").height == 20


def test_writers_without_a_lock_still_store_a_picture_once(
    lake: Lake, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit of another writer between lookup and commit conflicts, as on an object store."""
    put(source, {"a.png": picture(1), "b.png": picture(2)})
    other = put(source.parent / "other", {"c.png": picture(1)})
    original = Lake.write_shard
    intruded: list[bool] = []

    def write_shard(self: Lake, images: Any, ahead: Any) -> Any:
        if not intruded:
            intruded.append(True)
            ingest(self, other, batch_id="b-2", run_id="run-2")
        return original(self, images, ahead)

    monkeypatch.setattr(Lake, "write_shard", write_shard)
    counts = ingest(lake, source)
    assert (counts.stored, counts.duplicates) == (1, 1)
    assert states(lake) == {"a.png": ("duplicate", "same_bytes"), "b.png": ("stored", None)}
    assert states(lake, "b-2") == {"c.png": ("stored", None)}
    assert lake.scan("images").collect()["image_id"].is_unique().all()


def test_a_chunk_is_flushed_by_bytes(
    lake: Lake, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small limit splits one chunk into several shards without losing rows."""
    files = {f"{n}.png": picture(n) for n in range(7)}
    monkeypatch.setattr("assay.tasks.ingest.FLUSH_BYTES", 2 * len(files["0.png"]))
    counts = ingest(lake, put(source, files))
    assert (counts.items, counts.stored) == (7, 7)
    assert lake.scan("images").select("shard").unique().collect().height >= 3
    assert lake.scan("sightings").collect().height == 7
    assert dict(lake.images([sha256(r) for r in files.values()])) == {
        sha256(raw): raw for raw in files.values()
    }


def test_a_lake_of_mixed_times_is_told(lake: Lake, source: Path) -> None:
    """Sightings of a missing image stop the run."""
    put(source, {"a.png": picture(1)})
    ingest(lake, source)
    images = Path(lake.path("tables", "images"))
    images.rename(images.with_name("lost"))
    with pytest.raises(StoreError, match=r"has sightings of image .* but not the image"):
        ingest(lake, source, batch_id="b-2", run_id="run-2")


def test_sightings_sort_by_time_within_a_chunk(lake: Lake, source: Path) -> None:
    """No two rows of one commit have the same time."""
    put(source, {f"{n}.png": picture(n) for n in range(5)})
    ingest(lake, source)
    times = lake.scan("sightings").select(pl.col("seen_at").n_unique()).collect().item()
    assert times == 5


def test_images_are_in_their_shard_before_the_commit(
    lake: Lake, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit of new images only names the shard; it writes one if the lake has an image."""
    written: list[int] = []

    def write(store: Any, images: Any) -> Any:
        written.append(len(images))
        return write_shards(store, images)

    monkeypatch.setattr("assay.data.store.shards.write_shards", write)
    ingest(lake, put(source, {f"{n}.png": picture(n) for n in range(3)}))
    assert written == []
    ingest(lake, put(source, {"0-copy.png": picture(0), "4.png": picture(4)}), run_id="run-2")
    assert written == [1]
    assert [file.name.count("tmp") for file in lake.store.files("shards")] == [0, 0]
    assert lake.image(sha256(picture(4))) == picture(4)
