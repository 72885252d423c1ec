"""The lake: what it accepts, what it gives back, and what many writers at once do to it."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from assay.data.errors import CommitConflict, MissingVersion, StoreError
from assay.data.schema import TABLES, Decision, Label
from assay.data.store.lake import Lake
from assay.data.store.shards import ShardImage, ShardPlace

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)


def review(image_id: str = "a", **changes: Any) -> dict[str, Any]:
    row = {
        "image_id": image_id,
        "label": Label.REAL,
        "reviewer": "ann",
        "note": None,
        "reviewed_at": NOW,
    }
    return row | changes


def score(image_id: str = "a", **changes: Any) -> dict[str, Any]:
    row = {
        "image_id": image_id,
        "detector": "d@1",
        "weights_sha256": "0" * 64,
        "profile": "p",
        "backend": "torch-cpu",
        "precision": "fp32",
        "status": "scored",
        "reason": None,
        "logit": 1.5,
        "prob_fake": 0.75,
        "embedding": [0.5, -1.0],
        "run_id": "r",
        "code_version": "1",
        "scored_at": NOW,
    }
    return row | changes


def image_row(place: ShardPlace, **changes: Any) -> dict[str, Any]:
    row = {
        "image_id": place.image_id,
        "shard": place.shard,
        "row_group": place.row_group,
        "row": place.row,
        "n_bytes": 1,
        "format": "PNG",
        "mode": "RGB",
        "width_px": 1,
        "height_px": 1,
        "n_frames": 1,
        "phash": "0" * 16,
        "jpeg_quality": None,
        "capture": None,
        "ai_declared": None,
        "batch_id": "b",
        "ingested_at": NOW,
    }
    return row | changes


def store_images(lake: Lake, *payloads: bytes) -> list[ShardPlace]:
    images = [
        ShardImage(image_id=hashlib.sha256(raw).hexdigest(), raw=raw, format="PNG")
        for raw in payloads
    ]
    places = lake.write_shard(images)
    assert lake.append("images", [image_row(p) for p in places], txn=places[0].shard)
    return places


def ids(lake: Lake, table: str = "reviews") -> list[str]:
    return sorted(lake.scan(table).collect()["image_id"].to_list())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_lake_that_is_not_there_is_made_or_refused(tmp_path: Path) -> None:
    """Made by default, in a new or an empty folder; without `create` the error says how."""
    with pytest.raises(StoreError, match=r"there is no lake at .*; make one by ingesting"):
        Lake(tmp_path / "new" / "lake", create=False)
    assert not (tmp_path / "new").exists()
    made = Lake(tmp_path / "new" / "lake")
    assert Lake(tmp_path / "new" / "lake", create=False).uri == made.uri
    (tmp_path / "empty").mkdir()
    Lake(tmp_path / "empty")


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    """Somebody's documents do not become a lake, and a file never does."""
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(StoreError, match="is not empty and not a lake"):
        Lake(tmp_path)
    with pytest.raises(StoreError, match="is a file; a lake needs a folder"):
        Lake(tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_lake_whose_making_was_cut_off_is_made_again(tmp_path: Path) -> None:
    """The unfinished marker of a killed process does not count as somebody's file."""
    (tmp_path / ".tmp-0123-assay-lake.json").write_text("{")
    Lake(tmp_path)


def test_newer_and_broken_formats_are_refused(tmp_path: Path) -> None:
    """A lake of a later assay is not touched; a marker that cannot be read is told."""
    Lake(tmp_path)
    marker = tmp_path / "assay-lake.json"
    marker.write_text(json.dumps({"format": 2}))
    with pytest.raises(StoreError, match="is in format 2, this assay knows up to 1; upgrade"):
        Lake(tmp_path)
    marker.write_text("nonsense")
    with pytest.raises(StoreError, match="cannot be read"):
        Lake(tmp_path)


@pytest.mark.parametrize(
    "uri", ["ftp://host/lake", "https://example.com/lake", "s3://", "gs://", "az://"]
)
def test_other_stores_are_refused_by_name(uri: str) -> None:
    """An address that is neither a folder nor an object store is an error that names them."""
    with pytest.raises(
        StoreError,
        match="give a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
    ):
        Lake(uri)


def test_a_folder_without_permission_is_an_error_of_the_store(tmp_path: Path) -> None:
    """No library's own exception gets out when nothing can be written there."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use"):
        Lake(tmp_path / "file" / "lake")


def test_addresses_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder and a file URI name the same lake, wherever one goes afterwards."""
    monkeypatch.chdir(tmp_path)
    lake = Lake("here")
    assert lake.uri == str(tmp_path / "here")
    assert Lake((tmp_path / "here").as_uri(), create=False).uri == lake.uri
    assert lake.path("reports", "x.html") == str(tmp_path / "here" / "reports" / "x.html")
    assert lake.path() == lake.uri


def test_a_lake_travels_between_processes(lake: Lake) -> None:
    """Pickled, it arrives as its address and sees the same rows."""
    lake.append("reviews", [review()], txn="t")
    assert ids(pickle.loads(pickle.dumps(lake))) == ["a"]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_reads_empty_with_its_own_types(lake: Lake, table: str) -> None:
    """Before the first row, and after it is made, a scan has the schema's names and types."""
    wanted = pl.Schema(pl.from_arrow(TABLES[table].empty_table()).schema)
    assert lake.version(table) is None
    assert lake.scan(table).collect_schema() == wanted
    assert lake.scan(table).collect().is_empty()


def test_rows_come_back_with_exact_types(lake: Lake) -> None:
    """Enums as text, embeddings as lists of float32, times in UTC to the microsecond."""
    row = score(embedding=np.array([0.1, 0.2], np.float32), logit=np.float32(0.1))
    lake.append("scores", [row, score("b", embedding=None, logit=None)], txn="t")
    found = lake.scan("scores").sort("image_id").collect()
    assert found.schema == pl.Schema(pl.from_arrow(TABLES["scores"].empty_table()).schema)
    assert found["embedding"].to_list() == [[np.float32(0.1), np.float32(0.2)], None]
    assert found["logit"][0] == np.float32(0.1)
    assert found["scored_at"].to_list() == [NOW, NOW]
    lake.append("reviews", [review(label=Label.LAUNDERED)], txn="t")
    assert lake.scan("reviews").collect()["label"].to_list() == ["laundered"]


def test_structs_and_lists_come_back(lake: Lake) -> None:
    """A camera with a gap, no camera, and a list of enums."""
    camera = {"make": "Canon", "model": None, "software": "x"}
    [one, two] = store_images(lake, b"1", b"2")
    lake.append("images", [image_row(one, capture=camera), image_row(two)], txn="more")
    captures = lake.scan("images", version=2).collect()["capture"].to_list()
    assert camera in captures
    decision = {
        "image_id": "a",
        "detector": "d",
        "weights_sha256": None,
        "profile": None,
        "precision": None,
        "policy_id": "p",
        "calibration_id": None,
        "prob_calibrated": None,
        "decision": Decision.FLAG,
        "reasons": [],
        "group_id": None,
        "run_id": "r",
        "decided_at": NOW,
    }
    lake.append("decisions", [decision, decision | {"reasons": ["x"]}], txn="t")
    assert sorted(lake.scan("decisions").collect()["reasons"].to_list()) == [[], ["x"]]


def test_arrow_and_polars_rows_are_taken_too(lake: Lake) -> None:
    """Any column order and any width of integers that fits."""
    frame = pl.DataFrame([review("polars")]).with_columns(
        pl.col("note").cast(pl.String), label=pl.col("label").cast(pl.Categorical)
    )
    lake.append("reviews", frame.select(sorted(frame.columns)), txn="polars")
    lake.append("reviews", pa.Table.from_pylist([review("arrow", label="real")]), txn="arrow")
    assert ids(lake) == ["arrow", "polars"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([review(extra=1)], "reviews has no column 'extra'"),
        ([{k: v for k, v in review().items() if k != "note"}], "reviews.note is missing"),
        ([review(), review() | {"x": 1}], "reviews row 1 differs from row 0 in its columns: x"),
        ([review(label=None)], "reviews.label is null in 1 row"),
        ([review(label=3)], "reviews.label is int64; it must be string"),
        ([review(label=b"real")], "reviews.label is binary; it must be string"),
        ([review(label="a"), review(label=1)], "reviews.label holds values of several types"),
        ([review(reviewed_at="2026")], "reviews.reviewed_at is string"),
        ([review(reviewed_at=5)], "reviews.reviewed_at is int64"),
        ([review(reviewed_at=NOW.replace(tzinfo=None))], "is a time without a zone"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    lake: Lake, rows: list[dict[str, Any]], message: str
) -> None:
    """The error names table and column, and nothing is written."""
    with pytest.raises(StoreError, match=message.replace("[", r"\[")):
        lake.append("reviews", rows, txn="t")
    assert lake.version("reviews") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logit": "1.5"}, "scores.logit is string; it must be float"),
        ({"logit": True}, "scores.logit is bool"),
        ({"embedding": ["x"]}, r"scores.embedding\[\] is string"),
        ({"embedding": [1.0, None]}, "scores.embedding holds a list with a null"),
        ({"embedding": 1.0}, "scores.embedding is double"),
    ],
)
def test_numbers_and_lists_are_checked(lake: Lake, changes: dict[str, Any], message: str) -> None:
    """What Arrow would bend into shape is refused."""
    with pytest.raises(StoreError, match=message):
        lake.append("scores", [score(**changes)], txn="t")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width_px": 1.5}, "images.width_px is double; it must be int32"),
        ({"width_px": 2**40}, "images.width_px does not fit int32"),
        ({"capture": {"make": "x", "lens": "y"}}, "images.capture has no field 'lens'"),
        ({"capture": {"make": 3}}, "images.capture.make is int64"),
    ],
)
def test_sizes_and_structs_are_checked(lake: Lake, changes: dict[str, Any], message: str) -> None:
    """Fractions of a pixel, overflow and unknown fields of a struct are refused."""
    place = ShardPlace(image_id="a", shard="s", row_group=0, row=0)
    with pytest.raises(StoreError, match=message):
        lake.append("images", [image_row(place, **changes)], txn="t")


def test_an_unknown_table_is_refused(lake: Lake) -> None:
    """By scan, append and version alike, naming the tables that there are."""
    for use in (
        lambda: lake.scan("picture"),
        lambda: lake.version("picture"),
        lambda: lake.append("picture", [{}], txn="t"),
    ):
        with pytest.raises(StoreError, match="no table 'picture'; the tables are images"):
            use()


def test_a_transaction_commits_once(lake: Lake) -> None:
    """The second append of the same id writes nothing and says so, also from a new Lake."""
    assert lake.append("reviews", [review("a")], txn="t") is True
    assert lake.append("reviews", [review("b")], txn="t") is False
    assert Lake(lake.uri).append("reviews", [review("c")], txn="t") is False
    assert ids(lake) == ["a"]
    assert lake.append("reviews", [], txn="empty") is False
    assert lake.append("reviews", [review("d")], txn="empty") is True


def test_old_versions_stay_readable(lake: Lake) -> None:
    """Version n is what was there after the n-th append; others are a MissingVersion."""
    with pytest.raises(MissingVersion, match="reviews has no version 0; its latest is None"):
        lake.scan("reviews", version=0)
    for name in "abc":
        lake.append("reviews", [review(name)], txn=name)
    assert lake.version("reviews") == 3
    assert [lake.scan("reviews", v).collect().height for v in range(4)] == [0, 1, 2, 3]
    for version in (4, -1):
        with pytest.raises(MissingVersion, match=f"no version {version}; its latest is 3"):
            lake.scan("reviews", version=version)


def test_a_scan_is_pinned_when_it_is_made(lake: Lake) -> None:
    """Rows committed between scan and collect are not in it."""
    lake.append("reviews", [review("a")], txn="a")
    scan = lake.scan("reviews")
    lake.append("reviews", [review("b")], txn="b")
    assert scan.collect()["image_id"].to_list() == ["a"]


def test_versions_outlive_a_hundred_commits(lake: Lake) -> None:
    """Checkpoints of the log do not take old versions away."""
    for n in range(120):
        lake.append("reviews", [review(str(n))], txn=str(n))
    assert lake.scan("reviews", version=1).collect()["image_id"].to_list() == ["0"]
    assert lake.append("reviews", [review("again")], txn="0") is False


def test_a_broken_table_is_an_error_of_the_store(lake: Lake) -> None:
    """A log that is not a log is named, by scan and by append."""
    lake.append("reviews", [review()], txn="a")
    log = Path(lake.path("tables", "reviews", "_delta_log"))
    for file in log.glob("*.json"):
        file.write_text("nonsense")
    with pytest.raises(StoreError, match=r"cannot read the table .*reviews"):
        lake.scan("reviews")
    with pytest.raises(StoreError, match=r"cannot read the table .*reviews"):
        lake.append("reviews", [review()], txn="b")


def test_the_second_of_two_deciders_must_look_again(lake: Lake) -> None:
    """Rows worked out from a version are refused once another such append came after it."""
    assert lake.append("reviews", [review("a")], txn="a", after=0)
    with pytest.raises(CommitConflict, match="newer than version 0"):
        lake.append("reviews", [review("b")], txn="b", after=0)
    assert lake.append("reviews", [review("b")], txn="b", after=1)
    assert lake.append("reviews", [review("plain")], txn="plain")  # takes nobody's place
    assert lake.append("reviews", [review("c")], txn="c", after=2)
    assert lake.append("reviews", [review("again")], txn="a", after=0) is False
    assert ids(lake) == ["a", "b", "c", "plain"]


def test_eight_threads_lose_and_double_nothing(lake: Lake) -> None:
    """Own rows all arrive; of one shared transaction exactly one thread commits."""
    start = threading.Barrier(8)

    def write(writer: int) -> int:
        start.wait()
        for n in range(5):
            assert lake.append("reviews", [review(f"{writer}-{n}")], txn=f"{writer}-{n}")
        return lake.append("reviews", [review("shared")], txn="shared")

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert won.count(True) == 1
    assert ids(lake) == sorted([f"{w}-{n}" for w in range(8) for n in range(5)] + ["shared"])


WRITER = """
import datetime, sys
from assay.data.errors import CommitConflict
from assay.data.store.lake import Lake
lake, writer = Lake(sys.argv[1]), sys.argv[2]
def row(image_id):
    return {"image_id": image_id, "label": "real", "reviewer": writer, "note": None,
            "reviewed_at": datetime.datetime.now(datetime.UTC)}
for n in range(8):
    assert lake.append("reviews", [row(f"{writer}-{n}")], txn=f"{writer}-{n}")
    lake.append("reviews", [row(f"shared-{n}")], txn=f"shared-{n}")
"""


def test_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    """Four processes that begin with no lake at all make one, and share its transactions."""
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "lake"), str(writer)])
        for writer in range(4)
    ]
    assert [process.wait(timeout=120) for process in running] == [0] * 4
    own = [f"{writer}-{n}" for writer in range(4) for n in range(8)]
    shared = [f"shared-{n}" for n in range(8)]
    assert ids(Lake(tmp_path / "lake", create=False)) == sorted(own + shared)


def test_images_are_found_by_id(lake: Lake) -> None:
    """One image, many in stored order, each once; the unknown are an error before any."""
    payloads = [b"%d" % n for n in range(150)]
    places = store_images(lake, *payloads) + store_images(lake, b"other")
    by_id = dict(zip([p.image_id for p in places], [*payloads, b"other"], strict=True))
    assert lake.image(places[77].image_id) == b"77"
    assert dict(lake.images([*by_id, *by_id])) == by_id
    asked = [places[150].image_id, places[149].image_id, places[3].image_id]
    found = [image_id for image_id, _ in lake.images(asked)]
    assert sorted(found) == sorted(asked)
    assert found.index(places[3].image_id) < found.index(places[149].image_id)
    assert list(lake.images([])) == []
    with pytest.raises(StoreError, match=r"has no image f{64} \(1 of 2 asked for"):
        lake.images([places[0].image_id, "f" * 64])


def test_the_shard_column_is_a_name_below_the_lake(lake: Lake) -> None:
    """`lake.path(row["shard"])` is the file."""
    [place] = store_images(lake, b"x")
    assert Path(lake.path(place.shard)).is_file()


def test_sweep_removes_what_no_row_names_and_only_that(lake: Lake) -> None:
    """Old unreferenced shards and unfinished files go; young ones and referenced ones stay."""
    kept = store_images(lake, b"kept")[0].shard
    left = lake.write_shard([ShardImage(image_id="0" * 64, raw=b"left", format="PNG")])[0].shard
    unfinished = Path(lake.path("shards", ".tmp-00-x.parquet"))
    unfinished.write_bytes(b"PAR1")
    stranger = Path(lake.path("shards", "README"))
    stranger.write_text("mine")
    assert lake.sweep(older_than_s=3600) == []
    hours_ago = time.time() - 7200
    for name in (kept, left, "shards/.tmp-00-x.parquet", "shards/README"):
        os.utime(lake.path(name), (hours_ago, hours_ago))
    assert lake.sweep(older_than_s=3600) == ["shards/.tmp-00-x.parquet", left]
    assert Path(lake.path(kept)).is_file()
    assert stranger.is_file()


def test_a_shard_written_again_is_young(lake: Lake) -> None:
    """A retry's shard is not swept for the age of the killed run's equal one."""
    image = ShardImage(image_id="0" * 64, raw=b"x", format="PNG")
    name = lake.write_shard([image])[0].shard
    os.utime(lake.path(name), (0, 0))
    lake.write_shard([image])
    assert lake.sweep(older_than_s=60) == []


def test_writing_lets_one_thread_in_and_may_be_nested(lake: Lake) -> None:
    """Counts who is inside at once, through the same Lake and through another of its address."""
    inside, most = 0, 0

    def write(own: Lake) -> None:
        nonlocal inside, most
        with own.writing(), own.writing(), Lake(own.uri).writing():
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [lake, Lake(lake.uri)] * 8))
    assert most == 1


def test_writing_waits_for_another_process_and_not_for_a_dead_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one process is writing another's wait ends in an error; its death frees the lake."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from assay.data.store.lake import Lake\n"
            "with Lake(sys.argv[1]).writing():\n    print('in', flush=True); time.sleep(600)",
            lake.uri,
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"in\n"
        monkeypatch.setattr("assay.data.store.lake.LOCK_TIMEOUT_S", 0.3)
        with pytest.raises(StoreError, match="another process has been writing"), lake.writing():
            pass
    finally:
        holder.kill()
        holder.wait()
    with lake.writing():
        pass


@pytest.mark.parametrize("name", ["with space", "läke ü", "plus+#&?x", "star*"])
def test_a_lake_may_lie_anywhere(tmp_path, name):
    """Folder names with spaces, accents and signs hold rows and bytes like any other."""
    lake = Lake(tmp_path / name / "lake")
    assert lake.append("reviews", [review("a")], txn="1")
    assert lake.append("reviews", [review("b")], txn="2")
    assert sorted(lake.scan("reviews").collect()["image_id"]) == ["a", "b"]
    assert lake.scan("reviews", version=1).collect().height == 1


@pytest.mark.parametrize("name", ["a%20b", "[a]"])
def test_a_folder_name_that_delta_cannot_read_back_is_refused(tmp_path, name):
    """Better no lake than one whose rows cannot be found again."""
    with pytest.raises(StoreError, match="choose another folder name"):
        Lake(tmp_path / name)
