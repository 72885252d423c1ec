"""Parquet files of a lake are read by the calling thread, and by no thread of Arrow."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.data.store.erasure.erased_shard import erase_bytes, has_bytes_of
from assay.data.store.erasure.table_rows import rows_about
from assay.data.store.local_files import LocalStore
from assay.data.store.object_files import RangeFile
from assay.data.store.parquet_reader import ParquetReader, open_parquet
from assay.data.store.shards import ShardImage, ShardPlace, read_images, write_shards
from assay.data.store.upkeep.named_shards import _shards_in

IMAGES = [
    ShardImage(image_id=hashlib.sha256(raw).hexdigest(), raw=raw, format="PNG")
    for raw in (bytes([n]) * 40_000 for n in range(100))
]
TABLE = "tables/images/part.parquet"


class WatchedStore(LocalStore):
    """Store whose files are read by Python, as objects are; it notes by which threads."""

    readers: set[int]

    def open_input(self, name: str) -> pa.NativeFile:
        """Open a file through Python, and note each thread that reads."""
        raw = (self.root / name).read_bytes()

        def read_range(start: int, end: int) -> bytes:
            self.readers.add(threading.get_ident())
            return raw[start:end]

        return pa.PythonFile(RangeFile(read_range, len(raw)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    """Store with a shard of two row groups and a file of a table; only this thread reads it."""
    store = WatchedStore(tmp_path)
    store.readers = set()
    yield store
    assert store.readers == {threading.get_ident()}


@pytest.fixture
def places(store: WatchedStore) -> list[ShardPlace]:
    rows = {
        "image_id": sorted(image.image_id for image in IMAGES),
        "shard": [f"shards/{n % 3}.parquet" for n in range(len(IMAGES))],
        "n": list(range(len(IMAGES))),
    }
    file = io.BytesIO()
    pq.write_table(pa.table(rows), file, row_group_size=40)
    store.create(TABLE, file.getvalue())
    return write_shards(store, IMAGES)


def read_one(store: WatchedStore, places: list[ShardPlace]) -> None:
    assert list(read_images(store, places[99:])) == [(IMAGES[99].image_id, IMAGES[99].raw)]


def leave_early(store: WatchedStore, places: list[ShardPlace]) -> None:
    images = read_images(store, places)
    assert next(images) == (IMAGES[0].image_id, IMAGES[0].raw)
    images.close()


def read_names(store: WatchedStore, _places: list[ShardPlace]) -> None:
    assert _shards_in(store, TABLE) == {"shards/0.parquet", "shards/1.parquet", "shards/2.parquet"}


def read_rows_about(store: WatchedStore, _places: list[ShardPlace]) -> None:
    wanted = pa.array([IMAGES[5].image_id])
    rows = rows_about(store, TABLE, wanted, ["image_id", "shard", "n"])
    assert rows["image_id"].to_pylist() == [IMAGES[5].image_id]


def erase(store: WatchedStore, places: list[ShardPlace]) -> None:
    shard, image_id = places[5].shard, IMAGES[5].image_id
    assert has_bytes_of(store, shard, [image_id])
    erase_bytes(store, shard, [image_id])
    assert not has_bytes_of(store, shard, [image_id])


@pytest.mark.parametrize("work", [read_one, leave_early, read_names, read_rows_about, erase])
def test_a_file_of_a_store_is_read_by_the_calling_thread(
    work: Callable[[WatchedStore, list[ShardPlace]], None],
    store: WatchedStore,
    places: list[ShardPlace],
) -> None:
    """A thread of Arrow that holds a file of Python when the process ends aborts it."""
    work(store, places)


def test_a_reader_gives_groups_columns_and_all_rows(
    store: WatchedStore, places: list[ShardPlace]
) -> None:
    """A hundred rows in groups of forty are three groups, which together are all rows."""
    with open_parquet(store, TABLE) as file:
        groups = list(file.groups(["n"]))
        assert [group["n"].to_pylist() for group in groups] == [
            list(range(40)),
            list(range(40, 80)),
            list(range(80, 100)),
        ]
        assert file.group(1)["n"].to_pylist() == list(range(40, 80))
        assert file.rows(["n"]).equals(pa.concat_tables(groups))
        assert file.rows().column_names == ["image_id", "shard", "n"] == file.schema.names
    assert ParquetReader(store.read(TABLE) or b"").rows()["n"].to_pylist() == list(range(100))
