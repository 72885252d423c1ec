"""Small data files of a table are read once, and their rows are always those of the files."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from assay.data.store.kept import file_rows
from assay.data.store.lake import Lake
from assay.tasks.lake.compact import compact

NAMES = ["a", "b", "c", "d"]


def commit(lake, *names):
    """Commit one file of `reviews` with a row per name."""
    rows = [
        {
            "image_id": name,
            "label": "real",
            "reviewer": "ann",
            "note": None,
            "reviewed_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        for name in names
    ]
    assert lake.append("reviews", rows, txn="-".join(names))


def ids(lake, version=None):
    return lake.scan("reviews", version).collect()["image_id"].to_list()


@pytest.fixture
def lake(tmp_path):
    made = Lake(tmp_path / "täglich neu")
    for name in NAMES:
        commit(made, name)
    return made


@pytest.fixture
def read(monkeypatch):
    """Return the list of the files that are scanned from now on."""
    scanned: list[str] = []
    real = pl.scan_parquet

    def scan(paths, **options):
        scanned.extend(paths)
        return real(paths, **options)

    monkeypatch.setattr(pl, "scan_parquet", scan)
    return scanned


def test_a_small_file_is_read_once_and_a_new_one_is_read(lake, read):
    """Four files are read by the first of two scans, and the fifth by the next after it exists."""
    assert sorted(ids(lake)) == NAMES
    assert sorted(lake.rows_of("reviews", ["b", "c"]).collect()["image_id"]) == ["b", "c"]
    assert len(read) == 4
    commit(lake, "e")
    assert sorted(ids(lake)) == [*NAMES, "e"]
    assert len(read) == len(set(read)) == 5


def test_rows_keep_the_order_of_the_files(lake, monkeypatch):
    """Small files before, between and after large ones give the rows of a scan of all, in order."""
    commit(lake, *(f"{number:04}" for number in range(500)))
    commit(lake, "e")
    commit(lake, *(f"{number:04}" for number in range(500, 1000)))
    commit(lake, "f")
    limit = file_rows.MAX_FILE_BYTES
    monkeypatch.setattr(file_rows, "MAX_FILE_BYTES", 0)
    scanned = ids(lake)
    sizes = sorted(Path(path).stat().st_size for path in paths_of(lake))
    for most in (sizes[-3], limit):
        monkeypatch.setattr(file_rows, "MAX_FILE_BYTES", most)
        assert ids(Lake(lake.uri)) == scanned
    assert len(scanned) == 1006


def paths_of(lake):
    opened = lake.tables.open("reviews")
    folder = Path(lake.path("tables", "reviews"))
    return [folder / name for name in opened.get_add_actions(flatten=True)["path"].to_pylist()]


def test_a_file_written_again_under_its_name_is_read_again(lake):
    """As by forget, which takes rows out of files that older versions have."""
    assert sorted(ids(lake)) == NAMES
    changed = paths_of(lake)[0]
    rows = pl.read_parquet(changed)
    gone = rows["image_id"][0]
    rows.clear().write_parquet(changed.with_suffix(".tmp"))
    changed.with_suffix(".tmp").replace(changed)
    assert sorted([*ids(lake), gone]) == NAMES


def test_files_without_room_are_scanned_every_time(lake, read, monkeypatch):
    """With room for nothing, two scans read four files each, and give the same rows."""
    monkeypatch.setattr(file_rows, "MAX_KEPT_BYTES", 0)
    assert sorted(ids(lake)) == sorted(ids(lake)) == NAMES
    assert len(read) == 8


def test_merged_files_make_room_for_the_merged_one(lake, read, monkeypatch):
    """Rows of files that the table no longer has are dropped when there is no room."""
    sizes = [path.stat().st_size for path in paths_of(lake)]
    monkeypatch.setattr(file_rows, "MAX_KEPT_BYTES", sum(sizes))
    ids(lake)
    compact(lake)
    read.clear()
    assert ids(lake) == ids(lake) == NAMES
    assert len(read) == 1


def test_a_version_is_read_with_its_own_files(lake):
    """Files in memory do not add rows to a version that lacks them."""
    version = lake.version("reviews")
    commit(lake, "e")
    assert sorted(ids(lake)) == [*NAMES, "e"]
    assert sorted(ids(lake, version)) == NAMES


def test_a_vacuumed_file_is_missed_although_its_rows_were_read(lake):
    """A scan of a file that is gone fails as before, and names it."""
    ids(lake)
    path = paths_of(lake)[0]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        ids(lake)
