"""Tables of an older version: read, appended to, and extended by new columns."""

from __future__ import annotations

import datetime
import io
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.data.errors import CommitConflict, StoreError
from assay.data.schema import SORTED_BY, TABLES
from assay.data.store.lake import Lake
from assay.data.store.table_files import encode

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
MakeOld = Callable[..., Lake]


def row(image_id: str, **more: Any) -> dict[str, Any]:
    values = {"image_id": image_id, "label": "real", "reviewer": "ann", "reviewed_at": NOW}
    return values | more


@pytest.fixture
def old_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeOld:
    """Create a lake with a table `reviews` that lacks the column `note`."""

    def make(name: str = "lake", *, without: str = "note") -> Lake:
        lake = Lake(tmp_path / name)
        now = TABLES["reviews"]
        known = [field for field in now if field.name != without]
        with monkeypatch.context() as then:
            then.setitem(TABLES, "reviews", pa.schema(known))
            kept = row("a", note="seen")
            kept.pop(without)
            assert lake.append("reviews", [kept], txn="first")
        return lake

    return make


def notes(lake: Lake, version: int | None = None) -> dict[str, str | None]:
    rows = lake.scan("reviews", version).collect()
    assert rows.columns == TABLES["reviews"].names
    assert rows.schema["note"] == pl.String
    return dict(rows.select("image_id", "note").iter_rows())


@pytest.mark.parametrize("name", ["lake", "täglich neu"])
def test_a_column_that_came_later_is_null_until_rows_bring_it(old_lake: MakeOld, name: str) -> None:
    """A new column is null before its first append, and at the old version."""
    lake = old_lake(name)
    version = lake.version("reviews")
    assert notes(lake) == {"a": None}
    assert lake.scan("reviews").filter(pl.col("note").is_null()).collect().height == 1
    assert lake.version("reviews") == version
    assert lake.append("reviews", [row("b", note="new")], txn="second")
    assert notes(lake) == {"a": None, "b": "new"}
    assert notes(lake, version) == {"a": None}
    assert lake.append("reviews", [row("b", note="new")], txn="second") is False
    assert lake.append("reviews", [row("z", note="new")], txn="first") is False
    after = lake.version("reviews")
    assert lake.append("reviews", [row("c", note=None)], txn="third")
    assert lake.version("reviews") == (after or 0) + 1
    assert notes(lake) == {"a": None, "b": "new", "c": None}


def test_two_writers_may_bring_the_column_at_once(old_lake: MakeOld) -> None:
    """Two writers that add the column at once lose no row."""
    lake = old_lake()

    def write(number: int) -> bool:
        return Lake(lake.uri).append("reviews", [row(f"n{number}", note="x")], txn=f"t{number}")

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(write, range(4)))
    assert notes(lake) == {"a": None, **{f"n{n}": "x" for n in range(4)}}


def test_rows_worked_out_from_an_old_version_still_count_as_such(old_lake: MakeOld) -> None:
    """Adding a column does not invalidate rows computed before; an append with `after` does."""
    lake = old_lake()
    seen = lake.version("reviews")
    assert lake.append("reviews", [row("b", note="x")], txn="b")
    assert lake.append("reviews", [row("c", note="x")], txn="c", after=seen)
    with pytest.raises(CommitConflict, match="newer than version"):
        lake.append("reviews", [row("d", note="x")], txn="d", after=seen)
    assert set(notes(lake)) == {"a", "b", "c"}


def test_a_table_without_a_column_that_must_be_there_is_refused(old_lake: MakeOld) -> None:
    """A table that lacks a required column is refused."""
    lake = old_lake(without="reviewer")
    with pytest.raises(StoreError, match="reviews has no column reviewer"):
        lake.scan("reviews")
    with pytest.raises(StoreError, match="reviews has no column reviewer"):
        lake.append("reviews", [row("b", note=None)], txn="b")


def test_every_table_is_sorted_by_columns_that_are_never_null() -> None:
    """Each table has an order for compacted files, by required columns, so bounds are complete."""
    assert SORTED_BY.keys() == TABLES.keys()
    for table, columns in SORTED_BY.items():
        assert columns
        assert not any(TABLES[table].field(column).nullable for column in columns)


def test_only_embeddings_are_written_without_a_dictionary():
    """Their values do not repeat, and a dictionary makes a file of scores larger by 40 %."""
    rng = np.random.default_rng(1)
    rows = pa.table(
        {
            "image_id": ["a" * 64] * 1000,
            "embedding": list(rng.standard_normal((1000, 384), dtype=np.float32)),
            "reasons": [["low_resolution"]] * 1000,
            "capture": [{"make": "a", "model": "b"}] * 1000,
        }
    )
    raw = encode(rows).raw
    group = pq.read_metadata(io.BytesIO(raw)).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    plain = [one.path_in_schema for one in columns if not one.has_dictionary_page]
    assert plain == ["embedding.list.element"]
    assert len(raw) < 1000 * 384 * 4
    assert pq.read_table(io.BytesIO(raw)).equals(rows)


def test_a_file_of_a_table_is_read_by_the_calling_thread(tmp_path: Path) -> None:
    """A thread of Arrow that holds its bytes when the process ends aborts it with exit code 134."""
    pq.write_table(pa.table({name: list(range(9)) for name in "abcdefgh"}), tmp_path / "x.parquet")
    probe = f"""
import os
import pyarrow.parquet
from assay.data.store.table_files import read_rows
raw = open({str(tmp_path / "x.parquet")!r}, "rb").read()
before = len(os.listdir("/proc/self/task"))
assert read_rows(raw).num_rows == 9
print(len(os.listdir("/proc/self/task")) - before)
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
