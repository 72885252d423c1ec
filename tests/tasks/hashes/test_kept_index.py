"""The index of known hashes is kept on the machine, and is that of the table whatever happens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from assay.data.errors import MissingVersion
from assay.data.store.lake import Lake
from assay.data.vocabulary import Decision
from assay.tasks.hashes import known_hashes
from assay.tasks.hashes.index import HashIndex, words_of
from assay.tasks.hashes.kept_index import open_kept
from assay.tasks.hashes.known_hashes import add_hashes, known_decisions
from assay.tasks.lake.restore import restore

HASHES = [digit * 64 for digit in "1248"]
"""Four hashes of 64 bits each, of which no two have a bit in common: all are 128 bits apart."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep indexes of any size, in a cache of the test's own."""
    monkeypatch.setattr(known_hashes, "MIN_ROWS", 1)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hashes"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Make a lake that knows the first hash, for review."""
    made = Lake(tmp_path / "lake")
    add(made, HASHES[0], Decision.REVIEW)
    return made


def add(lake: Lake, hash_: str, decision: Decision) -> None:
    rows = pl.DataFrame({"hash": [hash_], "note": [None]}, schema_overrides={"note": pl.String})
    add_hashes(lake, rows, list_name="x", decision=decision)


def asked(lake: Lake) -> dict[str, str]:
    """Return the decisions on the four hashes, as a new process finds them."""
    known_hashes._kept.clear()
    images = pl.DataFrame({"image_id": list("abcd"), "pdq": HASHES})
    return dict(sorted(known_decisions(Lake(lake.uri), images).iter_rows()))


def test_a_kept_index_has_the_hashes_of_all_segments():
    """Three and one hashes make two segments, which are kept as one."""
    words = words_of(HASHES)
    index = HashIndex()
    index.add(words[:3])
    index.add(words[3:])
    opened = HashIndex.of_numbers(index.numbers(), len(index))
    assert [list(found) for found in opened.find(words)] == [[0], [1], [2], [3]]
    with pytest.raises(ValueError, match="reshape"):
        HashIndex.of_numbers(index.numbers(), 5)


def test_hashes_added_to_a_copy_are_not_in_the_index():
    """A look-up goes on in the index as it was."""
    index = HashIndex()
    index.add(words_of(HASHES[:1]))
    copy = index.copy()
    copy.add(words_of(HASHES[1:2]))
    assert (len(index), len(copy)) == (1, 2)
    assert [list(found) for found in index.find(words_of(HASHES[:2]))] == [[0], []]


def test_the_next_process_reads_only_what_was_added(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process reads one row and the second, after an addition, the other."""
    read: list[int] = []
    added = Lake.added

    def counted(self: Lake, table: str, since: int | None, version: int | None) -> pl.LazyFrame:
        rows = added(self, table, since, version)
        if table == "known_hashes":
            read.append(rows.collect().height)
        return rows

    monkeypatch.setattr(Lake, "added", counted)
    assert asked(lake) == {"a": "review"}
    add(lake, HASHES[1], Decision.FLAG)
    assert asked(lake) == {"a": "review", "b": "flag"}
    assert asked(lake) == {"a": "review", "b": "flag"}
    assert read == [1, 1, 0]


def test_a_small_addition_is_not_worth_a_new_file(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of at least two hashes, the first of a list is not kept, and a third one to two neither."""
    monkeypatch.setattr(known_hashes, "MIN_ROWS", 2)
    asked(lake)
    assert open_kept(lake.uri) is None
    add(lake, HASHES[1], Decision.FLAG)
    asked(lake)
    add(lake, HASHES[2], Decision.FLAG)
    assert asked(lake) == {"a": "review", "b": "flag", "c": "flag"}
    kept = open_kept(lake.uri)
    assert kept is not None
    assert (len(kept.index), kept.is_flag.sum()) == (2, 1)


@pytest.mark.parametrize(
    "damage", ["arrays cut", "arrays gone", "state of another format", "no JSON"]
)
def test_a_damaged_index_is_built_again(lake: Lake, cache: Path, damage: str) -> None:
    """The table has all that the index has."""
    asked(lake)
    (arrays,), (state,) = cache.glob("*/*.npy"), cache.glob("*/state.json")
    match damage:
        case "arrays cut":
            arrays.write_bytes(arrays.read_bytes()[:-100])
        case "arrays gone":
            arrays.unlink()
        case "state of another format":
            state.write_text(json.dumps(json.loads(state.read_text()) | {"format": 0}))
        case _:
            state.write_text("{")
    assert open_kept(lake.uri) is None
    assert asked(lake) == {"a": "review"}
    assert open_kept(lake.uri) is not None
    assert len(list(cache.glob("*/*.npy"))) == 1


def test_hashes_that_a_restore_took_out_match_no_longer(lake: Lake) -> None:
    """Neither in this process nor in the next."""
    images = pl.DataFrame({"image_id": list("abcd"), "pdq": HASHES})
    before = lake.version("known_hashes")
    add(lake, HASHES[1], Decision.FLAG)
    assert asked(lake) == {"a": "review", "b": "flag"}
    restore(lake, before or 0, table="known_hashes")
    assert known_decisions(Lake(lake.uri), images).rows() == [("a", "review")]
    assert asked(lake) == {"a": "review"}


def test_the_index_of_another_lake_at_the_address_is_not_used(lake: Lake, tmp_path: Path) -> None:
    """The lake was deleted, and another one has been made in its place."""
    asked(lake)
    shutil.rmtree(tmp_path / "lake")
    other = Lake(tmp_path / "lake")
    add(other, HASHES[3], Decision.FLAG)
    assert asked(other) == {"d": "flag"}


def test_without_the_log_of_the_kept_version_all_is_read(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vacuum removes logs of earlier versions."""
    asked(lake)
    add(lake, HASHES[1], Decision.FLAG)

    def removed(*_given: object) -> pl.LazyFrame:
        raise MissingVersion("its log was removed")

    monkeypatch.setattr(Lake, "added", removed)
    assert asked(lake) == {"a": "review", "b": "flag"}
    kept = open_kept(lake.uri)
    assert kept is not None
    assert (len(kept.index), kept.is_flag.sum()) == (2, 1)


def test_a_cache_that_cannot_be_written_is_no_failure(lake: Lake, cache: Path) -> None:
    """A file stands where the folder should be."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text("")
    assert asked(lake) == {"a": "review"}
