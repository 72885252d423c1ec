"""Compaction of tables: the same rows in fewer files, beside writers, readers and kills."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from lake_rows import ids, image_row, review, score, store_images

import assay.tasks.lake.compact as compaction
from assay.data.errors import CommitConflict, StoreError
from assay.data.store.lake import Lake
from assay.data.store.upkeep.compaction import FAN
from assay.data.store.upkeep.table_repair import files_of
from assay.tasks.lake.check import check_table
from assay.tasks.lake.compact import compact, compact_crowded, draw


@pytest.fixture(params=["lake", "täglich neu"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return Lake(tmp_path / request.param)


def commit(lake: Lake, *names: str) -> None:
    for name in names:
        assert lake.append("reviews", [review(name)], txn=name)


def n_files(lake: Lake, table: str = "reviews") -> int:
    opened = lake.tables.open(table)
    assert opened is not None
    return len(files_of(table, opened))


def test_small_files_are_merged_and_sorted_and_no_row_changes(lake: Lake) -> None:
    """The rows of many commits lie in one sorted file; each version reads as before."""
    names = [f"i{n:02}" for n in (5, 3, 9, 1, 7, 2, 8, 4)]
    commit(lake, *names)
    version = lake.version("reviews")
    before = lake.scan("reviews").collect()
    dry = compact(lake, dry_run=True)
    assert lake.version("reviews") == version
    assert compact(lake) == dry
    (done,) = dry
    assert (done.table, done.files_before, done.files_after, done.n_rows) == ("reviews", 8, 1, 8)
    assert "reviews: 1 file instead of 8" in draw(dry, dry_run=False)
    after = lake.scan("reviews").collect()
    assert after["image_id"].to_list() == sorted(names)
    assert after.equals(before.sort("image_id"))
    assert lake.scan("reviews", version).collect().sort("image_id").equals(after)
    assert compact(lake) == []
    assert check_table(lake, "reviews", deep=True) == ([], 8)


def test_a_run_merges_only_where_there_are_many_files(lake: Lake) -> None:
    """Fewer than `FAN` files are left alone at the end of a run; then they become one."""
    commit(lake, *(f"i{n}" for n in range(FAN - 1)))
    compact_crowded(lake)
    assert n_files(lake) == FAN - 1
    commit(lake, "last")
    compact_crowded(lake)
    assert n_files(lake) == 1
    assert len(ids(lake)) == FAN


def test_rows_added_between_versions_are_the_same_after_a_compaction(lake: Lake) -> None:
    """Merged files bring no new rows, and hide none."""
    commit(lake, "a", "b")
    since = lake.version("reviews")
    commit(lake, "c", "d")
    middle = lake.version("reviews")
    compact(lake)
    merged = lake.version("reviews")
    commit(lake, "e")
    latest = lake.version("reviews")

    def added(begin: int | None, end: int | None) -> list[str]:
        return sorted(lake.added("reviews", begin, end).collect()["image_id"])

    assert added(since, middle) == ["c", "d"]
    assert added(since, merged) == ["c", "d"]
    assert added(since, latest) == ["c", "d", "e"]
    assert added(middle, merged) == []
    assert added(merged, latest) == ["e"]


def test_a_compaction_does_not_invalidate_rows_computed_before_it(lake: Lake) -> None:
    """An append with `after` passes a compaction, and still conflicts with other appends."""
    commit(lake, "a", "b")
    seen = lake.version("reviews")
    compact(lake)
    assert lake.append("reviews", [review("c")], txn="c", after=seen)
    assert lake.append("reviews", [review("a")], txn="a") is False
    with pytest.raises(CommitConflict):
        lake.append("reviews", [review("d")], txn="d", after=seen)
    assert ids(lake) == ["a", "b", "c"]


def test_the_second_of_two_compactions_gives_up_and_leaves_no_file(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two compactions of the same files at once write the rows once; appends pass between."""
    commit(lake, "a", "b", "c")
    real = compaction.merged

    def overtaken(*arguments: Any) -> Any:
        file = real(*arguments)
        monkeypatch.setattr(compaction, "merged", real)
        compact(Lake(lake.uri))
        commit(lake, "d")
        return file

    monkeypatch.setattr(compaction, "merged", overtaken)
    (done,) = compact(lake)
    assert (done.files_after, done.n_rows) == (3, 0)
    assert ids(lake) == ["a", "b", "c", "d"]
    parquet = [f for f in lake.store.files("tables/reviews") if f.name.endswith(".parquet")]
    assert len(parquet) == 5  # three merged ones, the merged one, and d


def test_writers_readers_and_compactions_at_once_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Each scan beside writers and compactions has each committed row once."""
    uri = str(tmp_path / "lake")
    commit(Lake(uri), "first")

    def write(writer: int) -> None:
        for number in range(8):
            commit(Lake(uri), f"w{writer}-{number}")

    def tidy(_: int) -> None:
        for _ in range(4):
            compact(Lake(uri))
            seen = ids(Lake(uri))
            assert len(seen) == len(set(seen))

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(write, n) for n in range(2)] + [pool.submit(tidy, n) for n in range(2)]
        for one in work:
            one.result()
    wanted = [f"w{writer}-{number}" for writer in range(2) for number in range(8)]
    assert ids(Lake(uri)) == sorted(["first", *wanted])


def test_a_damaged_file_is_not_merged(lake: Lake) -> None:
    """A file whose bytes changed stops the compaction of its table; a run only logs that."""
    commit(lake, "a", "b")
    name = next(f.name for f in lake.store.files("tables/reviews") if f.name.endswith(".parquet"))
    path = Path(lake.path(name))
    raw = path.read_bytes()
    path.write_bytes(raw[:-50] + bytes([raw[-50] ^ 1]) + raw[-49:])
    version = lake.version("reviews")
    with pytest.raises(StoreError, match="was changed since it was written"):
        compact(lake)
    compact_crowded(lake)
    assert lake.version("reviews") == version


def test_a_killed_compaction_leaves_the_table_as_it_was(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies between the merged file and its commit changes no row."""
    commit(lake, "a", "b")

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as then:
        then.setattr(compaction, "rewrite", die)
        with pytest.raises(KeyboardInterrupt):
            compact(lake)
    assert ids(lake) == ["a", "b"]
    compact(lake)
    assert (ids(lake), n_files(lake)) == (["a", "b"], 1)


def test_images_are_found_after_a_merge(tmp_path: Path) -> None:
    """Nested and later columns keep their values, and an image its bytes."""
    lake = Lake(tmp_path / "lake")
    places = store_images(lake, b"one")
    assert lake.append("images", [image_row(places[0], image_id="b", doubt="x")], txn="b")
    compact(lake)
    rows = lake.scan("images").select("image_id", "doubt", "capture").collect()
    assert dict(zip(rows["image_id"], rows["doubt"], strict=True)) == {
        "b": "x",
        places[0].image_id: None,
    }
    assert lake.image(places[0].image_id) == b"one"


def test_row_groups_of_merged_files_are_small(tmp_path: Path) -> None:
    """A merged file has row groups of at most 16,384 rows with bounds on its first key."""
    lake = Lake(tmp_path / "lake")
    for part in range(2):
        frame = pl.DataFrame([score()] * 20_000, schema_overrides={"logit": pl.Float32})
        names = pl.Series([f"{(n * 7919 + part) % 99_991:06}" for n in range(20_000)])
        lake.append("scores", frame.with_columns(image_id=names), txn=f"s{part}")
    compact(lake)
    opened = lake.tables.open("scores")
    assert opened is not None
    (file,) = files_of("scores", opened)
    footer = pq.read_metadata(lake.path(file.name))
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    assert max(group.num_rows for group in groups) <= 16_384
    bounds = [group.column(0).statistics for group in groups]
    assert all(one.max <= two.min for one, two in itertools.pairwise(bounds))


def test_a_checkpoint_forgets_transactions_after_a_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits of long ago do not make the log of a table longer."""
    lake = Lake(tmp_path / "lake")
    then_ns = time.time_ns() - 40 * 86_400 * 10**9
    with monkeypatch.context() as then:
        then.setattr(time, "time_ns", lambda: then_ns)
        commit(lake, "a")
    commit(lake, "b")
    compact(lake)
    log = lake.store.files("tables/reviews/_delta_log")
    [checkpoint] = [file.name for file in log if file.name.endswith(".checkpoint.parquet")]
    kept = pq.read_table(lake.path(checkpoint), columns=["txn"])["txn"].to_pylist()
    assert {one["appId"] for one in kept if one} == {"b", "assay-rewrite"}
    assert lake.append("reviews", [review("b")], txn="b") is False


def test_several_merged_files_of_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files beyond the maximal size are merged in several commits of one compaction."""
    lake = Lake(tmp_path / "lake")
    commit(lake, *"abcdef")
    monkeypatch.setattr("assay.data.store.upkeep.compaction.MAX_BYTES", 8000)
    [done] = compact(lake)
    assert (done.files_before, done.files_after, n_files(lake)) == (6, 3, 3)
    assert ids(lake) == list("abcdef")
