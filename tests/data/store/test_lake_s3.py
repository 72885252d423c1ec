"""The lake on an object store: a real S3 server on loopback, over HTTP."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import polars as pl
import pytest
from faulty_proxy import faulty_proxy
from lake_rows import image_row
from PIL import Image
from s3_server import s3_server
from two_ingests import require_each_stored_once

from assay.data.errors import CommitConflict, MissingVersion, StoreError
from assay.data.sources.find import SourceOptions, find_items
from assay.data.store.cloud_options import storage_options
from assay.data.store.lake import Lake
from assay.data.store.open_store import open_store
from assay.data.store.shards import ShardImage, ShardPlace
from assay.data.store.tables import Tables
from assay.tasks.append_missing import append_missing
from assay.tasks.lake.compact import compact
from assay.tasks.lake.restore import restore
from assay.tasks.lake.vacuum import vacuum

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def s3() -> Iterator[object]:
    with s3_server("pictures") as client:
        yield client


def review(image_id: str, reviewer: str = "ann") -> dict[str, object]:
    return {
        "image_id": image_id,
        "label": "real",
        "reviewer": reviewer,
        "note": None,
        "reviewed_at": NOW,
    }


def pictures(*payloads: bytes) -> list[ShardImage]:
    return [
        ShardImage(image_id=hashlib.sha256(raw).hexdigest(), raw=raw, format="PNG")
        for raw in payloads
    ]


def image_rows(places: list[ShardPlace]) -> list[dict[str, object]]:
    return [image_row(place, n_bytes=3, ingested_at=NOW) for place in places]


def test_the_whole_lake_works_on_s3(s3: object) -> None:
    """Marker, shards, tables, images, versions and sweeping work on S3."""
    lake = Lake("s3://pictures/one/lake")
    assert lake.uri == "s3://pictures/one/lake"
    assert lake.path("reports", "x.html") == "s3://pictures/one/lake/reports/x.html"
    assert lake.version("images") is None
    assert lake.scan("images").collect().is_empty()
    kept = pictures(b"one", b"two")
    with lake.writing():
        assert lake.append("images", image_rows(lake.write_shard(kept)), txn="t") is True
    left_over = lake.write_shard(pictures(b"nobody's"))
    reopened = Lake("s3://pictures/one/lake", create=False)
    assert [reopened.image(image.image_id) for image in kept] == [b"one", b"two"]
    assert reopened.scan("images").collect().get_column("ingested_at").to_list() == [NOW, NOW]
    assert reopened.scan("images", version=0).collect().height == 0
    with pytest.raises(MissingVersion, match="no version 9"):
        reopened.scan("images", version=9)
    assert reopened.sweep(older_than_s=3600) == []
    assert reopened.sweep(older_than_s=-5) == [left_over[0].shard]
    assert reopened.image(kept[1].image_id) == b"two"


def test_small_files_on_s3_are_merged(s3: object) -> None:
    """A compaction on S3 keeps rows, versions and the rows added between versions."""
    lake = Lake("s3://pictures/compacted")
    for name in "cab":
        assert lake.append("reviews", [review(name)], txn=name)
    since = lake.version("reviews")
    assert [done.files_after for done in compact(lake)] == [1]
    assert lake.scan("reviews").collect()["image_id"].to_list() == ["a", "b", "c"]
    assert lake.scan("reviews", since).collect().height == 3
    assert lake.append("reviews", [review("d")], txn="d", after=since)
    added = lake.added("reviews", since, lake.version("reviews"))
    assert added.collect()["image_id"].to_list() == ["d"]


def test_old_versions_on_s3_are_restored_and_vacuumed(
    s3: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore on S3 is undone by another one; a vacuum leaves the current rows."""
    lake = Lake("s3://pictures/versions")
    for name in "cab":
        assert lake.append("reviews", [review(name)], txn=name)
    compact(lake)
    for version, n_rows in ((2, 2), (4, 3)):
        restore(lake, version, table="reviews")
        assert lake.n_rows("reviews") == n_rows
    tomorrow_s = time.time() + 86_400
    monkeypatch.setattr("assay.tasks.lake.vacuum.time.time", lambda: tomorrow_s)
    removed = [PurePosixPath(one.where).suffix for one in vacuum(lake, older_than_s=3600)]
    assert removed == [".parquet"] * 3 + [".json"] * 4
    reopened = Lake(lake.uri)
    assert reopened.scan("reviews").collect()["image_id"].to_list() == ["a", "b", "c"]
    assert reopened.append("reviews", [review("d")], txn="d")


def test_a_missing_lake_on_s3_is_not_made_up(s3: object) -> None:
    """Without `create`, or beside other files, there is an error with advice."""
    with pytest.raises(StoreError, match="there is no lake at"):
        Lake("s3://pictures/none", create=False)
    s3.put_object(Bucket="pictures", Key="holiday/beach.jpg", Body=b"x")
    with pytest.raises(StoreError, match="choose an empty prefix"):
        Lake("s3://pictures/holiday")
    with pytest.raises(StoreError, match="no-such-bucket"):
        Lake("s3://no-such-bucket/lake")


def test_a_shard_on_s3_is_one_object_and_no_leftover_upload(s3: object) -> None:
    """A shard larger than one upload part is one object, without leftovers."""
    lake = Lake("s3://pictures/large")
    raw = os.urandom(12 * 2**20)
    [place] = lake.write_shard(pictures(raw))
    listed = s3.list_objects_v2(Bucket="pictures", Prefix="large/shards/")["Contents"]
    assert [entry["Key"] for entry in listed] == [f"large/{place.shard}"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="pictures")
    lake.append("images", image_rows([place]), txn="t")
    assert lake.image(place.image_id) == raw


def test_writers_at_once_lose_and_double_nothing_on_s3(s3: object) -> None:
    """Six threads commit three own rows each, and one shared row once."""
    lake = Lake("s3://pictures/crowd")

    def write(writer: int) -> int:
        own = Lake("s3://pictures/crowd", create=False)
        first = [
            own.append("reviews", [review(f"{writer}-{n}")], txn=f"own-{writer}-{n}")
            for n in range(3)
        ]
        assert all(first)
        return own.append("reviews", [review("shared")], txn="shared")

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(write, range(6)))
    assert sorted(won) == [False] * 5 + [True]
    ids = lake.scan("reviews").collect().get_column("image_id").to_list()
    assert sorted(ids) == sorted([f"{w}-{n}" for w in range(6) for n in range(3)] + ["shared"])


def test_the_second_of_two_deciders_is_refused_on_s3(s3: object) -> None:
    """Of two appends computed from one version, the second is refused."""
    lake = Lake("s3://pictures/deciders")
    lake.append("reviews", [review("a")], txn="a")
    seen = lake.version("reviews")
    assert lake.append("reviews", [review("b")], txn="b", after=seen)
    with pytest.raises(CommitConflict, match="compute the rows again"):
        lake.append("reviews", [review("c")], txn="c", after=seen)
    assert lake.append("reviews", [review("c")], txn="c", after=lake.version("reviews"))


def test_another_process_reads_with_the_environment_alone(s3: object) -> None:
    """Environment variables suffice to open the lake and filter a table."""
    lake = Lake("s3://pictures/env")
    lake.append("reviews", [review("a"), review("b")], txn="t")
    code = (
        "import json, polars as pl; from assay.data.store.lake import Lake;"
        "rows = Lake('s3://pictures/env', create=False).scan('reviews');"
        "print(json.dumps(rows.filter(pl.col('image_id') == 'b').collect()['image_id'].to_list()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout) == ["b"]


def test_plain_http_must_be_allowed() -> None:
    """An endpoint without TLS is refused unless the environment allows it."""
    with pytest.raises(StoreError, match="set AWS_ALLOW_HTTP=true"):
        storage_options("s3", {"AWS_ENDPOINT_URL": "http://store.example:9000"})
    options = storage_options(
        "s3", {"AWS_ENDPOINT_URL": "http://store.example:9000", "AWS_ALLOW_HTTP": "TRUE"}
    )
    assert options == {
        "aws_endpoint_url": "http://store.example:9000",
        "aws_allow_http": "TRUE",
    }


def test_lists_survive_s3(s3: object) -> None:
    """Lists of reasons, also empty ones, are read back unchanged."""
    lake = Lake("s3://pictures/lists")
    row = {
        "image_id": "a",
        "detector": "d",
        "weights_sha256": "0" * 64,
        "profile": "p",
        "precision": "fp32",
        "policy_id": "p",
        "calibration_id": None,
        "prob_calibrated": 0.5,
        "decision": "clear",
        "reasons": ["x", "y"],
        "p_real": None,
        "group_id": None,
        "run_id": "r",
        "decided_at": NOW,
        "inputs_sha256": None,
        "log_index": None,
        "previous_sha256": None,
    }
    lake.append("decisions", [row, row | {"image_id": "b", "reasons": []}], txn="t")
    found = lake.scan("decisions").sort("image_id").collect()
    assert found.schema["reasons"] == pl.List(pl.String)
    assert found.get_column("reasons").to_list() == [["x", "y"], []]


def test_two_ingests_at_once_store_a_picture_once_on_s3(s3: object, tmp_path: Path) -> None:
    """Two concurrent batches of the same ten images store each once, without a lock."""
    for n in range(10):
        Image.new("RGB", (20 + n, 20), (n, 2 * n, 3 * n)).save(tmp_path / f"{n}.png")
    lake = Lake("s3://pictures/ingest")
    options = SourceOptions()
    items = list(find_items([str(tmp_path)], options))
    require_each_stored_once(lake, items, options)


def test_a_store_that_cuts_answers_off_loses_nothing(
    s3: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a fifth of the responses cut off, a lake is created, filled and read back."""
    parts = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    assert parts.hostname is not None
    assert parts.port is not None
    with faulty_proxy(parts.hostname, parts.port, share=0.2) as (proxy, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        lake = Lake("s3://pictures/cut")
        kept = pictures(b"one", b"two", os.urandom(300_000))
        assert lake.append("images", image_rows(lake.write_shard(kept)), txn="t") is True
        for n in range(3):
            assert lake.append("reviews", [review(str(n))], txn=str(n)) is True
        reopened = Lake("s3://pictures/cut", create=False)
        assert reopened.append("reviews", [review("0")], txn="0") is False
        for _ in range(3):
            assert dict(reopened.images([image.image_id for image in kept])) == {
                image.image_id: image.raw for image in kept
            }
        assert sorted(reopened.scan("reviews").collect()["image_id"]) == ["0", "1", "2"]
    assert proxy.n_cut > 5


def test_a_store_that_is_away_for_seconds_delays_the_tables_only(
    s3: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table is opened when the server is back after three seconds of 503."""
    parts = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    assert parts.hostname is not None
    assert parts.port is not None
    Lake("s3://pictures/away").append("reviews", [review("a")], txn="a")
    with faulty_proxy(parts.hostname, parts.port, share=0.0) as (proxy, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        tables = Tables(open_store("s3://pictures/away"))
        proxy.busy = 1.0
        back = threading.Timer(3, setattr, (proxy, "busy", 0.0))
        back.start()
        opened = tables.open("reviews")
        back.join()
    assert opened is not None
    assert opened.version() == 1
    assert proxy.n_busy > 2


def test_a_store_that_always_fails_is_told_in_one_line(
    s3: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has one line with advice, without colours or Rust frames."""
    parts = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    assert parts.hostname is not None
    assert parts.port is not None
    Lake("s3://pictures/gone").append("reviews", [review("a")], txn="a")
    monkeypatch.setattr("assay.data.store.retry.MAX_TRIES", 3)
    with faulty_proxy(parts.hostname, parts.port, share=0.0) as (proxy, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        lake = Lake("s3://pictures/gone", create=False)
        proxy.share = 1.0
        with pytest.raises(StoreError, match=r"cannot read the table s3://\S+/reviews: ") as caught:
            lake.scan("reviews")
    told = str(caught.value)
    assert told.isprintable()
    assert told.endswith("run the same command again when s3://pictures/gone responds")


def test_writers_that_found_the_same_missing_append_it_once_on_s3(s3: object) -> None:
    """Three threads commit the same ten missing rows once, without a lock."""
    lake = Lake("s3://pictures/missing")
    lake.append("reviews", [review("before")], txn="before")
    since = lake.version("reviews")
    start = threading.Barrier(3)

    def work(writer: int) -> int:
        own = Lake(lake.uri)
        start.wait()
        return len(
            append_missing(
                own,
                "reviews",
                [review(f"{n}") for n in range(10)],
                since=since,
                name=lambda row: str(row["image_id"]),
                taken=lambda came: set(came.collect()["image_id"]),
                txn=f"{writer}",
            )
        )

    with ThreadPoolExecutor(3) as pool:
        committed = list(pool.map(work, range(3)))
    assert sorted(committed) == [0, 0, 10]
    ids = lake.scan("reviews").collect()["image_id"].to_list()
    assert sorted(ids) == sorted(["before", *(f"{n}" for n in range(10))])


def test_a_file_is_created_at_most_once_on_s3(s3: object) -> None:
    """One of many concurrent creators of a name succeeds, and its bytes stay."""
    store = Lake("s3://pictures/once").store
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: store.create("mark", b"%d" % n), range(8)))
    assert sum(made) == 1
    assert store.read("mark") == b"%d" % made.index(True)


def test_files_are_moved_and_removed_on_s3(s3: object) -> None:
    """A folder is moved with its content; a missing file is no error."""
    store = Lake("s3://pictures/moving").store
    for name in ("a/1", "a/b/2", "ab/3"):
        assert store.create(name, name.encode())
    store.move("a", "c/d")
    assert [file.name for file in store.files("c/d")] == ["c/d/1"]
    assert (store.read("c/d/b/2"), store.read("a/1"), store.read("ab/3")) == (
        b"a/b/2",
        None,
        b"ab/3",
    )
    store.move("a", "c/e")
    store.delete("c/d/1")
    store.delete("c/d/1")
    assert store.files("c/d") == []


def test_a_prefix_with_blanks_and_letters_works_on_s3(s3: object) -> None:
    """Shards and tables use the same prefix, by every library."""
    lake = Lake("s3://pictures/my lake/grün+1")
    kept = pictures(b"one")
    lake.append("images", image_rows(lake.write_shard(kept)), txn="t")
    assert lake.image(kept[0].image_id) == b"one"
    listed = s3.list_objects_v2(Bucket="pictures", Prefix="my lake/grün+1/")["Contents"]
    kinds = {entry["Key"].removeprefix("my lake/grün+1/").partition("/")[0] for entry in listed}
    assert kinds == {"assay-lake.json", "shards", "tables"}
    lake.append("reviews", [review("a")], txn="a")
    since = lake.version("reviews")
    lake.append("reviews", [review("b")], txn="b")
    came = lake.added("reviews", since, lake.version("reviews")).collect()
    assert came["image_id"].to_list() == ["b"]
    assert lake.scan("reviews").collect().height == 2
