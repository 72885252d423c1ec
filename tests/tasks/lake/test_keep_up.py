"""Upkeep at the end of a run: merged files stay for the retention, and then go."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from deltalake import DeltaTable
from lake_rows import ids, review

from assay.data.errors import MissingVersion
from assay.data.store.conform import schema_of
from assay.data.store.lake import Lake
from assay.data.store.upkeep.compaction import FAN
from assay.tasks.lake.check import check_table
from assay.tasks.lake.keep_up import keep_up
from assay.tasks.lake.pins import record_pin

DAY_S = 86_400.0


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Create a lake without tables."""
    return Lake(tmp_path / "lake")


def commit(lake: Lake, first: int, n: int = FAN) -> None:
    for number in range(first, first + n):
        assert lake.append("reviews", [review(f"i{number:03}")], txn=f"t{number}")


def n_files(lake: Lake) -> int:
    return len(lake.store.files("tables/reviews"))


def in_days(days: float) -> float:
    return time.time() + days * DAY_S


def test_merged_files_go_after_the_retention_and_only_then(lake: Lake) -> None:
    """What a merge superseded is kept for 30 days; every row and every recent version stays."""
    commit(lake, 0)
    keep_up(lake, expired_versions=3)
    assert n_files(lake) == FAN + 1
    before = lake.version("reviews")
    commit(lake, FAN, FAN - 1)
    keep_up(lake, now_s=in_days(31), expired_versions=3)  # no merge, nothing to look at
    assert n_files(lake) == 2 * FAN
    commit(lake, 2 * FAN - 1, 1)
    keep_up(lake, now_s=in_days(29), expired_versions=3)
    assert n_files(lake) == 2 * FAN + 2
    assert lake.scan("reviews", before).collect().height == FAN
    commit(lake, 2 * FAN)
    keep_up(lake, now_s=in_days(31), expired_versions=3)
    assert n_files(lake) == len(lake.tables.listed("reviews"))
    assert len(ids(lake)) == 3 * FAN
    assert check_table(lake, "reviews", deep=True) == ([], 3 * FAN)
    with pytest.raises(MissingVersion):
        lake.scan("reviews", before)


def test_a_table_is_looked_at_once_a_day_and_vacuumed_when_enough_has_expired(lake: Lake) -> None:
    """A run vacuums neither for a few expired versions nor again on the same day."""
    commit(lake, 0)
    keep_up(lake, now_s=in_days(31), expired_versions=50)
    assert n_files(lake) == FAN + 1
    commit(lake, FAN)
    keep_up(lake, now_s=in_days(31.5), expired_versions=3)
    assert n_files(lake) == 2 * FAN + 2
    commit(lake, 2 * FAN)
    keep_up(lake, now_s=in_days(32.5), expired_versions=3)
    assert n_files(lake) == len(lake.tables.listed("reviews"))


def test_versions_of_published_datasets_stay(lake: Lake) -> None:
    """A version that a dataset was read at is readable after the retention, with its log."""
    commit(lake, 0, 3)
    pin = lake.version("reviews")
    record_pin(lake, "/data/set", {"reviews": pin})
    commit(lake, 3)
    keep_up(lake, now_s=in_days(31), expired_versions=3)
    assert lake.scan("reviews", pin).collect().height == 3
    assert n_files(lake) == len(lake.tables.listed("reviews")) + 3


def test_tables_whose_datasets_are_not_recorded_are_left_alone(lake: Lake) -> None:
    """A table of assay 0.2.0 is merged and not vacuumed: its datasets may need any version."""
    DeltaTable.create(
        lake.path("tables", "reviews"),
        schema=schema_of("reviews"),
        configuration={"delta.appendOnly": "true", "delta.enableExpiredLogCleanup": "false"},
    )
    commit(lake, 0)
    keep_up(lake, now_s=in_days(31), expired_versions=3)
    assert len(lake.tables.listed("reviews")) == 1
    assert n_files(lake) == FAN + 1


def test_a_pin_that_cannot_be_read_stops_the_vacuum_and_not_the_run(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged pin is named in a warning, and nothing is removed."""
    commit(lake, 0)
    lake.write("published/x.json", b"{")
    keep_up(lake, now_s=in_days(31), expired_versions=3)
    assert n_files(lake) == FAN + 1
    assert "published/x.json" in caplog.text


def test_a_lake_with_much_to_merge_is_merged_by_several_runs(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run makes one merged file per table and leaves the others to the runs after it."""
    commit(lake, 0, 4 * FAN)
    largest = max(file.n_bytes for file in lake.tables.listed("reviews"))
    monkeypatch.setattr("assay.data.store.upkeep.compaction.MAX_BYTES", FAN * largest)
    left = []
    for _ in range(5):
        keep_up(lake)
        left.append(len(lake.tables.listed("reviews")))
    assert left[0] == 3 * FAN + 1
    assert left == sorted(left, reverse=True)
    assert left[-1] < FAN
    assert len(ids(lake)) == 4 * FAN
    assert check_table(lake, "reviews", deep=True) == ([], 4 * FAN)
