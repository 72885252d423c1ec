"""Vacuum of tables: what current, recent and published versions need stays readable."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from lake_rows import ids, review

from assay.data.errors import ConfigError, MissingVersion, StoreError
from assay.data.store.lake import Lake
from assay.tasks.lake.check import check_table
from assay.tasks.lake.compact import compact
from assay.tasks.lake.pins import record_pin
from assay.tasks.lake.vacuum import vacuum

DAY_S = 86_400.0


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Create a lake with a merged table; its versions 1 to 3 have one file per row."""
    lake = Lake(tmp_path / "lake")
    for name in "abc":
        assert lake.append("reviews", [review(name)], txn=name)
    compact(lake)
    return lake


def age(lake: Lake, days: float) -> None:
    """Set the times of all table files back."""
    at_s = time.time() - days * DAY_S
    for path in Path(lake.path("tables")).rglob("*"):
        os.utime(path, (at_s, at_s))


def names(lake: Lake) -> list[str]:
    files = lake.store.files("tables/reviews")
    return [file.name for file in files if file.name.endswith(".parquet")]


def test_files_that_only_old_versions_need_are_removed(lake: Lake) -> None:
    """Merged files go once they are old enough, and leftovers of a killed writer with them."""
    Path(lake.path("tables", "reviews", "part-of-a-killed-writer.parquet")).write_bytes(b"x")
    assert vacuum(lake, older_than_s=7 * DAY_S) == []
    age(lake, 8)
    listed = vacuum(lake, older_than_s=7 * DAY_S, dry_run=True)
    assert len(names(lake)) == 5
    removed = vacuum(lake, older_than_s=7 * DAY_S)
    assert [one.where for one in removed] == [one.where for one in listed]
    assert {one.what for one in listed} == {
        "table file that no kept version needs",
        "log entry before all kept versions",
    }
    assert len(names(lake)) == 1
    assert ids(lake) == ["a", "b", "c"]
    assert check_table(lake, "reviews", deep=True) == ([], 3)
    with pytest.raises(MissingVersion):
        lake.scan("reviews", 2)
    # A commit that was made before the vacuum is still known.
    assert lake.append("reviews", [review("a")], txn="a") is False
    assert lake.append("reviews", [review("d")], txn="d")
    assert ids(Lake(lake.uri)) == ["a", "b", "c", "d"]
    assert vacuum(lake, older_than_s=7 * DAY_S) == []


def test_the_version_that_counted_at_the_limit_stays(lake: Lake) -> None:
    """With an old table and a new commit, the version before the commit stays readable."""
    age(lake, 8)
    before = lake.version("reviews")
    assert lake.append("reviews", [review("d")], txn="d")
    compact(lake)
    vacuum(lake, older_than_s=7 * DAY_S)
    assert lake.scan("reviews", before).collect().height == 3
    assert ids(lake) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("recorded", [True, False])
def test_versions_of_published_datasets_stay(lake: Lake, tmp_path: Path, recorded: bool) -> None:
    """A dataset keeps its versions, recorded in the lake or named by its folder."""
    age(lake, 8)
    datasets = []
    if recorded:
        record_pin(lake, "/data/set", {"reviews": 2, "views": None})
    else:
        (tmp_path / "VERSIONS.lock").write_text(json.dumps({"tables": {"reviews": 2}}))
        datasets = [tmp_path]
    # A publish that was killed while it recorded its versions hinders no vacuum.
    killed = Path(lake.path("published", ".tmp-0a1b2c-x.json"))
    killed.parent.mkdir(exist_ok=True)
    killed.write_bytes(b"{")
    removed = vacuum(lake, older_than_s=7 * DAY_S, published=datasets)
    assert len(removed) == 1
    assert lake.scan("reviews", 2).collect().height == 2


def test_what_cannot_be_decided_is_refused(lake: Lake, tmp_path: Path) -> None:
    """A short age, a folder that is no dataset, and an unreadable pin stop the vacuum."""
    with pytest.raises(StoreError, match="at least 3600 s"):
        vacuum(lake, older_than_s=60)
    with pytest.raises(ConfigError, match=r"VERSIONS\.lock cannot be read"):
        vacuum(lake, older_than_s=DAY_S, published=[tmp_path / "none"])
    lake.write("published/x.json", b"{")
    with pytest.raises(StoreError, match=r"published/x\.json"):
        vacuum(lake, older_than_s=DAY_S)


def test_rows_added_since_a_vacuumed_version_include_all(lake: Lake) -> None:
    """If the files of added rows are gone, all rows are returned."""
    since = lake.version("reviews")
    for name in "de":
        assert lake.append("reviews", [review(name)], txn=name)
    compact(lake)
    latest = lake.version("reviews")
    for name in names(lake):
        opened = lake.tables.open("reviews")
        assert opened is not None
        if not any(uri.endswith(Path(name).name) for uri in opened.file_uris()):
            lake.store.delete(name)
    added = lake.added("reviews", since, latest).collect()
    assert sorted(added["image_id"]) == ["a", "b", "c", "d", "e"]
