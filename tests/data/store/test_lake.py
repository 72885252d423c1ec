"""The lake: its possible places, and its images."""

from __future__ import annotations

import json
import os
import pickle
import time
from pathlib import Path

import pytest
from lake_rows import ids, review, store_images

from assay.data.errors import StoreError
from assay.data.store.lake import Lake
from assay.data.store.shards import ShardImage


def test_a_lake_that_is_not_there_is_made_or_refused(tmp_path: Path) -> None:
    """A missing lake is created in a new or empty folder; without `create` it is an error."""
    with pytest.raises(StoreError, match=r"there is no lake at .*; .assay ingest. creates one"):
        Lake(tmp_path / "new" / "lake", create=False)
    assert not (tmp_path / "new").exists()
    made = Lake(tmp_path / "new" / "lake")
    assert Lake(tmp_path / "new" / "lake", create=False).uri == made.uri
    (tmp_path / "empty").mkdir()
    Lake(tmp_path / "empty")


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    """A folder with other files, or a file, never becomes a lake."""
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(StoreError, match="is not empty and not a lake"):
        Lake(tmp_path)
    with pytest.raises(StoreError, match="is a file; a lake needs a folder"):
        Lake(tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_lake_whose_making_was_cut_off_is_made_again(tmp_path: Path) -> None:
    """The unfinished marker of a killed process does not block the folder."""
    (tmp_path / ".tmp-0123-assay-lake.json").write_text("{")
    Lake(tmp_path)


def test_newer_and_broken_formats_are_refused(tmp_path: Path) -> None:
    """A lake of a newer format, or with an unreadable marker, is refused."""
    Lake(tmp_path)
    marker = tmp_path / "assay-lake.json"
    marker.write_text(json.dumps({"format": 2}))
    with pytest.raises(StoreError, match=r"has format 2; .* reads up to format 1; upgrade"):
        Lake(tmp_path)
    marker.write_text("nonsense")
    with pytest.raises(StoreError, match="cannot be read"):
        Lake(tmp_path)


@pytest.mark.parametrize(
    "uri", ["ftp://host/lake", "https://example.com/lake", "s3://", "gs://", "az://"]
)
def test_other_stores_are_refused_by_name(uri: str) -> None:
    """An unsupported address is refused with the allowed ones."""
    with pytest.raises(
        StoreError,
        match="give a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
    ):
        Lake(uri)


def test_a_folder_without_permission_is_an_error_of_the_store(tmp_path: Path) -> None:
    """A folder without write permission raises a StoreError only."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use"):
        Lake(tmp_path / "file" / "lake")


def test_addresses_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder and a file URI name the same lake, independent of the working folder."""
    monkeypatch.chdir(tmp_path)
    lake = Lake("here")
    assert lake.uri == str(tmp_path / "here")
    assert Lake((tmp_path / "here").as_uri(), create=False).uri == lake.uri
    assert lake.path("reports", "x.html") == str(tmp_path / "here" / "reports" / "x.html")
    assert lake.path() == lake.uri


def test_a_lake_travels_between_processes(lake: Lake) -> None:
    """A lake is pickled as its address and sees the same rows."""
    lake.append("reviews", [review()], txn="t")
    assert ids(pickle.loads(pickle.dumps(lake))) == ["a"]


def test_images_are_found_by_id(lake: Lake) -> None:
    """Images are read by id, each once in stored order; an unknown id is an error first."""
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
    with pytest.raises(StoreError, match=r"has no image f{64} \(1 of 2 ids"):
        lake.images([places[0].image_id, "f" * 64])


def test_the_shard_column_is_a_name_below_the_lake(lake: Lake) -> None:
    """`lake.path(row["shard"])` is the file."""
    [place] = store_images(lake, b"x")
    assert Path(lake.path(place.shard)).is_file()


def test_sweep_removes_what_no_row_names_and_only_that(lake: Lake) -> None:
    """Old unreferenced shards and unfinished files are removed; young and referenced ones stay."""
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
    """A shard written again by a retry is not swept for its earlier age."""
    image = ShardImage(image_id="0" * 64, raw=b"x", format="PNG")
    name = lake.write_shard([image])[0].shard
    os.utime(lake.path(name), (0, 0))
    lake.write_shard([image])
    assert lake.sweep(older_than_s=60) == []


@pytest.mark.parametrize("name", ["with space", "läke ü", "plus+#&?x", "star*"])
def test_a_lake_may_lie_anywhere(tmp_path, name):
    """Folder names with spaces, accents and signs work."""
    lake = Lake(tmp_path / name / "lake")
    assert lake.append("reviews", [review("a")], txn="1")
    assert lake.append("reviews", [review("b")], txn="2")
    assert sorted(lake.scan("reviews").collect()["image_id"]) == ["a", "b"]
    assert lake.scan("reviews", version=1).collect().height == 1


@pytest.mark.parametrize("name", ["a%20b", "[a]"])
def test_a_folder_name_that_delta_cannot_read_back_is_refused(tmp_path, name):
    """A folder name that Delta cannot represent is refused."""
    with pytest.raises(StoreError, match="choose another folder name"):
        Lake(tmp_path / name)
