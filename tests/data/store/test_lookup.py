"""Lookups give the rows of a whole scan, and read only what may hold them."""

import shutil
from datetime import UTC, datetime

import polars as pl
import pytest

from assay.data.errors import MissingVersion
from assay.data.store import known_values
from assay.data.store.lake import Lake
from assay.data.store.snapshots import Snapshot

IDS = [f"{index:02x}" * 32 for index in range(64)]


def review(image_id):
    """Return a row of `reviews`."""
    row = {"image_id": image_id, "label": "real", "reviewer": "ann", "note": None}
    return row | {"reviewed_at": datetime(2026, 1, 1, tzinfo=UTC)}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Make a lake with reviews in 16 files of four images, each file with its own range of ids."""
    made = Lake(tmp_path_factory.mktemp("reviews") / "lake")
    for start in range(0, len(IDS), 4):
        rows = [review(image_id) for image_id in IDS[start : start + 4]]
        made.append("reviews", rows, txn=str(start))
    return made


@pytest.fixture
def lake(template, tmp_path):
    shutil.copytree(template.uri, tmp_path / "lake")
    return Lake(tmp_path / "lake")


def files_read(frame: pl.LazyFrame) -> int:
    """Count the data files in the plan of a frame."""
    plan = frame.explain()
    if "Parquet SCAN" not in plan:
        return 0
    others = plan.partition(" other source")[0].rpartition("... ")[2]
    return 1 + (int(others) if others.isdigit() else plan.count(".parquet,"))


@pytest.mark.parametrize(
    "wanted",
    [[], ["none"], IDS[5:6], IDS[3:9], [*IDS, "none"], [IDS[7], None, IDS[7]]],
    ids=["nothing", "unknown", "one", "some", "all", "null and twice"],
)
def test_a_lookup_is_a_filter_of_the_whole_table(lake, wanted):
    """Whatever is asked for, rows and order are those of a scan."""
    expected = lake.scan("reviews").filter(pl.col("image_id").is_in(wanted)).collect()
    assert lake.rows_of("reviews", wanted).collect().equals(expected)
    given = [value for value in wanted if value is not None]
    assert lake.has_rows_of("reviews", given) == set(expected["image_id"])


def test_many_values_are_joined_with_the_same_result(lake, monkeypatch):
    """Above the number up to which a list is a filter, too."""
    expected = lake.rows_of("reviews", IDS[10:20]).collect()
    monkeypatch.setattr("assay.data.store.lookup.MANY", 3)
    assert lake.rows_of("reviews", IDS[10:20]).collect().equals(expected)


def test_files_that_cannot_hold_a_value_are_not_read(lake, monkeypatch):
    """By the bounds in the log: one of 16 files for one image, none for an unknown one."""
    monkeypatch.setattr("assay.data.store.kept.file_rows.MAX_FILE_BYTES", 0)
    assert files_read(lake.scan("reviews")) == 16
    assert files_read(lake.rows_of("reviews", [IDS[0]])) == 1
    assert files_read(lake.rows_of("reviews", [IDS[0], IDS[63]])) == 2
    assert files_read(lake.rows_of("reviews", ["zz"])) == 0


def test_a_lookup_at_a_version_knows_nothing_of_later_rows(lake):
    """Rows that were appended since are not found, and a version that is none is refused."""
    version = lake.version("reviews")
    lake.append("reviews", [review("ff" * 32)], txn="later")
    for _ in range(2):  # with the later version opened, too
        assert lake.rows_of("reviews", ["ff" * 32], version=version).collect().is_empty()
        assert lake.rows_of("reviews", ["ff" * 32]).collect().height == 1
    with pytest.raises(MissingVersion):
        lake.rows_of("reviews", [], version=99)


def test_an_empty_table_has_no_rows_of_anything(tmp_path):
    """A table that was never written to is empty, with its columns."""
    lake = Lake(tmp_path / "lake")
    assert lake.rows_of("views", IDS).collect().columns == lake.scan("views").collect().columns
    assert lake.has_rows_of("views", IDS) == set()
    assert lake.n_rows("views") == 0


def test_a_table_is_opened_once_per_version(lake, monkeypatch):
    """Readers share an opening until another writer, or this one, has committed."""
    opened = []
    real = Snapshot.__init__

    def counted(self, table):
        opened.append(table.version())
        real(self, table)

    monkeypatch.setattr(Snapshot, "__init__", counted)
    reader, writer = Lake(lake.uri), Lake(lake.uri)
    for _ in range(3):
        reader.scan("reviews").collect()
        reader.rows_of("reviews", IDS[:3]).collect()
        assert reader.n_rows("reviews") == 64
        reader.version("reviews")
    assert opened == [16]
    writer.append("reviews", [review("ee" * 32)], txn="other writer")
    assert reader.n_rows("reviews") == 65
    assert reader.rows_of("reviews", ["ee" * 32]).collect().height == 1
    assert opened == [16, 16, 17]
    # An append starts from the version that its readers opened.
    assert reader.append("reviews", [review("ff" * 32)], txn="reader")
    assert reader.n_rows("reviews") == 66
    assert opened == [16, 16, 17, 18]


def test_rows_added_since_the_latest_version_need_no_opening(lake, monkeypatch):
    """A writer that nobody overtook knows it by the names in the log."""
    version = lake.version("reviews")
    opened = []
    monkeypatch.setattr(type(lake.tables), "open", lambda _self, table: opened.append(table))
    assert lake.added("reviews", version, lake.version("reviews")).collect().is_empty()
    assert opened == []


def test_a_process_that_goes_on_asking_reads_each_file_once(lake, monkeypatch):
    """Hashes of known values are kept: read a few files at a time, later from new files only."""
    monkeypatch.setattr(known_values, "MAX_QUESTIONS", 2)
    monkeypatch.setattr(known_values, "FILES_AT_A_TIME", 6)
    read = []
    real = known_values.KnownValues._add

    def counted(self, hashes):
        read.append(len(hashes))
        real(self, hashes)

    monkeypatch.setattr(known_values.KnownValues, "_add", counted)
    for image_id in IDS:
        assert lake.has_rows_of("reviews", [image_id]) == {image_id}
        assert lake.has_rows_of("reviews", [f"{image_id}x"]) == set()
    assert read == [24, 24, 16]
    lake.append("reviews", [review("ee" * 32)], txn="later")
    assert lake.has_rows_of("reviews", ["ee" * 32, "none"]) == {"ee" * 32}
    assert read == [24, 24, 16, 1]


def test_a_column_is_read_once_questions_would_cost_more(lake, monkeypatch):
    """Of a table of 64 rows, at 16 rows per question, from the fifth question on."""
    monkeypatch.setattr(known_values, "ROWS_PER_QUESTION", 16)
    read = []
    real = known_values.KnownValues._load
    monkeypatch.setattr(
        known_values.KnownValues, "_load", lambda *args: read.append(1) or real(*args)
    )
    for n_questions, n_read in ((4, 0), (3, 3)):
        for image_id in IDS[:n_questions]:
            assert lake.has_rows_of("reviews", [image_id, "none"]) == {image_id}
        assert len(read) == n_read


def test_values_with_the_same_hash_are_told_apart(lake, monkeypatch):
    """A hash only says what need not be looked up."""
    monkeypatch.setattr(known_values, "MAX_QUESTIONS", 0)
    real = known_values.hash_values
    monkeypatch.setattr(known_values, "hash_values", lambda values: real(values) % 2)
    assert lake.has_rows_of("reviews", [*IDS[:5], "none", "other"]) == set(IDS[:5])
