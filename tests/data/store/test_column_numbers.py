"""Numbers of columns: lookups find the rows of a whole scan, and read little of large files."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from assay.data.cache import cache_folder
from assay.data.store import lookup
from assay.data.store.kept import column_numbers
from assay.data.store.kept.column_numbers import numbers_of
from assay.data.store.lake import Lake
from assay.data.store.lookup import numbers_by_files, rows_at, wide_rows_of
from assay.tasks.lake.compact import compact

NOTES = [f"{index % 20:032x}" for index in range(60)]


def review(index):
    """Return a row of `reviews` whose note is a text of hex digits, a name, or null."""
    note = [NOTES[index], f"note {index}", None][index % 3]
    row = {"image_id": f"{index:064x}", "label": "real", "reviewer": "ann", "note": note}
    return row | {"reviewed_at": datetime(2026, 1, 1, tzinfo=UTC)}


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("assay.data.store.tables.MIN_ROWS", 5)
    monkeypatch.setattr(lookup, "_NEAR_ROWS", 2)


@pytest.fixture
def lake(tmp_path):
    """Make a lake with reviews in files of 20, 3, 20 and 17 rows, of which one is small."""
    made = Lake(tmp_path / "lake")
    for start, end in ((0, 20), (20, 23), (23, 43), (43, 60)):
        made.append("reviews", [review(index) for index in range(start, end)], txn=str(start))
    return made


def kept():
    return sorted(cache_folder("columns").rglob("*.npy"))


@pytest.mark.parametrize(
    "wanted",
    [[], ["none"], NOTES[3:4], NOTES[::4], ["note 1", "note 25", NOTES[6]], [None, "0" * 16]],
    ids=["nothing", "unknown", "one", "some", "names", "null and zero"],
)
@pytest.mark.parametrize("spans", [1, 32])
def test_a_lookup_by_numbers_is_a_filter_of_the_whole_table(lake, wanted, spans, monkeypatch):
    """Rows and order are those of a scan, by positions or by whole files, kept numbers or new."""
    monkeypatch.setattr(lookup, "_MAX_SPANS", spans)
    expected = lake.scan("reviews").filter(pl.col("note").is_in(wanted)).collect()
    for again in (lake, lake, Lake(lake.uri)):
        assert again.rows_of("reviews", wanted, column="note").collect().equals(expected)


def test_the_numbers_of_large_files_are_kept_and_read_once(lake, monkeypatch):
    """Another process maps them; a damaged one is made again, and merged files' are removed."""
    lake.rows_of("reviews", NOTES[:20], column="note").collect()
    assert len(kept()) == 3
    made = []
    real = column_numbers._sorted
    monkeypatch.setattr(column_numbers, "_sorted", lambda values: made.append(1) or real(values))
    Lake(lake.uri).rows_of("reviews", NOTES[:20], column="note").collect()
    assert made == []
    kept()[0].write_bytes(kept()[0].read_bytes()[:100])
    found = Lake(lake.uri).rows_of("reviews", NOTES[:20], column="note").collect()
    assert sorted(found["note"]) == sorted(NOTES[::3])
    assert made == [1]
    compact(lake)
    lake.rows_of("reviews", NOTES[:20], column="note").collect()
    assert len(kept()) == 1


def test_a_cache_that_cannot_be_written_changes_nothing(lake, monkeypatch, tmp_path):
    """Where the folder of the cache is a file, rows are found all the same."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    assert lake.rows_of("reviews", NOTES[:1], column="note").collect().height == 1


def test_numbers_and_positions_name_the_rows(lake):
    """The rows at the positions of some numbers are those with these numbers."""
    n_rows = 0
    for files, numbers, positions in numbers_by_files(lake.tables, "reviews", "note"):
        rows = lake.tables.rows_in("reviews", files)
        at = np.arange(len(numbers), dtype=np.uint64) if positions is None else positions
        n_rows += len(numbers)
        for some in (at[::3], at[:0], at):
            found = numbers_of(rows_at(rows, some)["note"])
            assert sorted(found) == sorted(numbers[np.isin(at, some)])
    assert n_rows == 60


def test_wide_columns_are_those_of_the_rows(lake, monkeypatch):
    """By positions or, of many images, by a lookup: the same rows."""
    wanted = [f"{index:064x}" for index in (3, 21, 22, 59)]
    expected = lake.rows_of("reviews", [*wanted, "none"]).select("image_id", "note").collect()
    for limit in (200, 2):
        monkeypatch.setattr(lookup, "_MAX_WIDE", limit)
        found = wide_rows_of(lake.tables, "reviews", [*wanted, "none"], ["image_id", "note"])
        assert found.sort("image_id").equals(expected.sort("image_id"))
    assert wide_rows_of(lake.tables, "reviews", [], ["note"]).is_empty()


def test_small_files_are_read_sixteen_at_a_time(tmp_path, monkeypatch):
    """Of 18 files with a row each, positions count through the files that are read together."""
    monkeypatch.setattr(lookup, "_NEAR_ROWS", 4)
    lake = Lake(tmp_path / "many")
    for index in range(0, 54, 3):
        lake.append("reviews", [review(index)], txn=str(index))
    found = []
    for files, numbers, positions in numbers_by_files(lake.tables, "reviews", "note"):
        assert positions is None
        rows = lake.tables.rows_in("reviews", files)
        last = rows_at(rows, np.array([len(files) - 1], dtype=np.uint64))
        assert numbers_of(last["note"]).tolist() == [numbers[-1]]
        found.append((len(files), len(numbers)))
    assert found == [(16, 16), (2, 2)]
