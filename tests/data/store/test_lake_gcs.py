"""A lake and a source on a server that answers like Google Cloud Storage, over HTTP."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gcs_server import Bucket, gcs_server
from lake_rows import image_row, review
from PIL import Image
from two_ingests import require_each_stored_once

from assay.data.sources.find import SourceOptions, find_items, read_item
from assay.data.store.lake import Lake
from assay.data.store.object_files import ObjectStore
from assay.data.store.shards import ShardImage


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with gcs_server("pictures") as bucket:
        yield bucket


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20 + shade, 20), (shade, 2 * shade, 3 * shade)).save(file, "PNG")
    return file.getvalue()


def test_a_lake_keeps_shards_and_rows_on_gcs(bucket: Bucket) -> None:
    """Rows, images and older versions are read back, and an uncommitted shard is swept."""
    lake = Lake("gs://pictures/one/lake")
    one, two = (
        ShardImage(image_id=hashlib.sha256(raw).hexdigest(), raw=raw, format="PNG")
        for raw in (b"one", b"two")
    )
    [place] = lake.write_shard([one])
    assert lake.append("images", [image_row(place, n_bytes=3)], txn="t") is True
    assert lake.append("images", [image_row(place, n_bytes=3)], txn="t") is False
    [left_over] = lake.write_shard([two])
    reopened = Lake("gs://pictures/one/lake", create=False)
    assert reopened.image(one.image_id) == b"one"
    assert reopened.scan("images").collect()["n_bytes"].to_list() == [3]
    assert reopened.scan("images", version=0).collect().is_empty()
    # The server gives every object a time of January.
    assert reopened.sweep(older_than_s=3600) == [left_over.shard]
    assert reopened.image(one.image_id) == b"one"


def test_a_generation_of_an_object_is_replaced_once_on_gcs(bucket: Bucket) -> None:
    """A writer that read an older generation is refused, and changes nothing."""
    store = ObjectStore("gs", "pictures", "one", os.environ)
    assert store.create("mark", b"one") is True
    assert store.create("mark", b"other") is False
    read = store.read_tagged("mark")
    assert read is not None
    assert read[0] == b"one"
    assert store.replace("mark", b"two", read[1]) is True
    assert store.replace("mark", b"three", read[1]) is False
    assert store.read("mark") == b"two"
    assert bucket.n_refused == 2


def test_large_files_and_moves_on_gcs(bucket: Bucket, tmp_path: Path) -> None:
    """A file is uploaded in parts, a folder is moved, and pages of a listing are one list."""
    store = ObjectStore("gs", "pictures", "one", os.environ)
    whole = bytes(range(256)) * 2**16  # 16 MiB: two parts
    (tmp_path / "file").write_bytes(whole)
    store.upload("from/0", tmp_path / "file")
    for n in range(1, 7):
        store.create(f"from/{n}", b"%d" % n)
    store.move("from", "to/here")
    assert [file.name for file in store.files_below()] == [f"to/here/{n}" for n in range(7)]
    assert store.files("to") == []
    assert store.read("to/here/0") == whole
    assert store.open_input("to/here/0").read_at(3, 255) == b"\xff\x00\x01"
    store.delete("to/here/0")
    assert store.size("to/here/0") is None


def test_two_ingests_at_once_store_an_image_once_on_gcs(bucket: Bucket) -> None:
    """Two batches of the same ten objects store each once, without a lock."""
    source = ObjectStore("gs", "pictures", "in", os.environ)
    for n in range(10):
        source.create(f"a b#{n}.png", png(n))
    options = SourceOptions()
    items = list(find_items(["gs://pictures/in"], options))
    assert items[0].source_uri == "gs://pictures/in/a%20b%230.png"
    assert read_item(items[0], options) == png(0)
    lake = Lake("gs://pictures/lake")
    require_each_stored_once(lake, items, options)


def test_writers_at_once_lose_and_double_nothing_on_gcs(bucket: Bucket) -> None:
    """Four threads commit rows of their own, and one shared row once, without a lock."""
    lake = Lake("gs://pictures/lake")
    start = threading.Barrier(4)

    def write(writer: int) -> bool:
        own = Lake(lake.uri, create=False)
        start.wait()
        assert own.append("reviews", [review(str(writer))], txn=f"own-{writer}")
        return own.append("reviews", [review("shared")], txn="shared")

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 1
    ids = lake.scan("reviews").collect()["image_id"].to_list()
    assert sorted(ids) == ["0", "1", "2", "3", "shared"]
    assert bucket.n_refused > 0
