"""History and restore: an earlier state becomes the current one, and nothing is lost."""

from __future__ import annotations

import datetime
import hashlib
import time
from pathlib import Path

import pytest
from lake_rows import ids, image_row, review, score

from assay.data.errors import CommitConflict, InputError, MissingVersion
from assay.data.store.lake import Lake
from assay.data.store.shards import ShardImage
from assay.tasks.lake.check import check
from assay.tasks.lake.compact import compact
from assay.tasks.lake.history import draw as draw_history
from assay.tasks.lake.history import history
from assay.tasks.lake.restore import draw, restore

FIRST = "20260102T030405Z-00000001"
SECOND = "20260102T040405Z-00000002"


def record(lake: Lake, run_id: str, status: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    row = {
        "run_id": run_id,
        "flow": "moderate",
        "status": status,
        "params": "{}",
        "config_sha256": "0",
        "code_version": "1",
        "started_at": now,
        "finished_at": None if status == "running" else now,
        "counts": None,
    }
    lake.append("runs", [row], txn=f"run:{run_id}:{status}")
    time.sleep(0.003)  # times of commits are in milliseconds


def moderated(lake: Lake, run_id: str, raw: bytes) -> str:
    """Commit an image and its score as a run does; return the image's id."""
    record(lake, run_id, "running")
    [place] = lake.write_shard(
        [ShardImage(image_id=hashlib.sha256(raw).hexdigest(), raw=raw, format="PNG")]
    )
    lake.append("images", [image_row(place)], txn=f"images:{run_id}")
    lake.append("scores", [score(place.image_id, run_id=run_id)], txn=f"scores:{run_id}")
    record(lake, run_id, "completed")
    return place.image_id


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_the_lake_as_after_a_run_and_back(lake: Lake) -> None:
    """Rows of later runs go, reviews and the record of runs stay, and a restore is undone."""
    first = moderated(lake, FIRST, b"one")
    second = moderated(lake, SECOND, b"two")
    lake.append("reviews", [review(first)], txn="r")
    compact(lake)
    version = lake.version("images")
    dry = restore(lake, FIRST, dry_run=True)
    assert lake.version("images") == version
    done = restore(lake, FIRST)
    assert done == dry
    assert [(one.table, one.rows_before, one.rows_after) for one in done] == [
        ("scores", 2, 1),
        ("images", 2, 1),
    ]
    assert "images to version 1: 1 row instead of 2" in draw(done, dry_run=False)
    assert (ids(lake, "images"), ids(lake, "scores")) == ([first], [first])
    assert lake.scan("runs").collect().height == 4
    assert ids(lake) == [first]
    assert check(lake, deep=True).damage == []
    assert restore(lake, FIRST) == []
    # The shard of the image that is not current stays, and so does the older version.
    assert lake.sweep(older_than_s=-60) == []
    assert lake.scan("images", version).collect().height == 2
    assert [one.table for one in restore(lake, SECOND)] == ["images", "scores"]
    assert ids(lake, "images") == ids(lake, "scores") == sorted([first, second])
    assert lake.image(second) == b"two"


def test_one_table_to_a_version_or_a_time(lake: Lake) -> None:
    """A table goes back alone, also to before its first row."""
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    for name in "abc":
        lake.append("reviews", [review(name)], txn=name)
    restore(lake, 2, table="reviews")
    assert ids(lake) == ["a", "b"]
    restore(lake, before, table="reviews")
    assert ids(lake) == []
    restore(lake, 3, table="reviews")
    assert ids(lake) == ["a", "b", "c"]


def test_a_restore_changes_nothing_where_files_were_merged_only(lake: Lake) -> None:
    """Merged files have the same rows as before."""
    for name in "ab":
        lake.append("reviews", [review(name)], txn=name)
    seen = lake.version("reviews")
    compact(lake)
    assert restore(lake, seen or 0, table="reviews") == []
    assert draw([], dry_run=False).startswith("restored  nothing")


def test_rows_computed_before_a_restore_are_computed_again(lake: Lake) -> None:
    """An append with `after` conflicts with a restore, and sees the rows that it brought back."""
    for name in "ab":
        lake.append("reviews", [review(name)], txn=name)
    restore(lake, 1, table="reviews")
    seen = lake.version("reviews")
    restore(lake, 2, table="reviews")
    with pytest.raises(CommitConflict):
        lake.append("reviews", [review("b")], txn="again", after=seen)
    added = lake.added("reviews", seen, lake.version("reviews"))
    assert added.collect()["image_id"].to_list() == ["b"]


def test_what_cannot_be_restored_is_refused(lake: Lake) -> None:
    """A version for all tables, unknown or unfinished runs and removed files are refused."""
    lake.append("reviews", [review("a")], txn="a")
    with pytest.raises(InputError, match="name the table"):
        restore(lake, 1)
    with pytest.raises(MissingVersion, match="no version 9"):
        restore(lake, 9, table="reviews")
    with pytest.raises(InputError, match="no run"):
        restore(lake, FIRST)
    record(lake, FIRST, "running")
    with pytest.raises(InputError, match="has not ended"):
        restore(lake, FIRST)
    lake.append("reviews", [review("b")], txn="b")
    compact(lake)
    lake.append("reviews", [review("c")], txn="c")
    opened = lake.tables.at("reviews", 1)
    [uri] = opened.file_uris()
    Path(uri).unlink()
    with pytest.raises(MissingVersion, match="was removed"):
        restore(lake, 1, table="reviews")
    assert ids(lake) == ["a", "b", "c"]


def test_the_history_names_runs_and_what_changed(lake: Lake) -> None:
    """Commits are listed from the newest, with rows, runs and the purpose of rewrites."""
    moderated(lake, FIRST, b"one")
    moderated(lake, SECOND, b"two")
    compact(lake)
    restore(lake, FIRST, table="scores")
    changes = history(lake, tables=["scores"])
    assert [change.what for change in changes] == [
        "restore",
        "compact",
        "append",
        "append",
        "create",
    ]
    assert [change.run_id for change in changes] == [None, None, SECOND, FIRST, None]
    assert [change.new_rows for change in changes][1:] == [0, 1, 1, 0]
    assert len(history(lake, limit=3)) == 3
    text = draw_history(changes)
    assert "2 files to 1" in text
    assert f"+1 row {SECOND}" in " ".join(text.split())
    assert draw_history([]) == "no commits"
