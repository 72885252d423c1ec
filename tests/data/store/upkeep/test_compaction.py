"""Choice of the files to merge: few files, and few rows written again."""

from __future__ import annotations

from assay.data.store.damage import Listed
from assay.data.store.upkeep.compaction import FAN, MAX_BYTES, to_merge


def file(name: str, n_rows: int | None = 10, n_bytes: int = 1000) -> Listed:
    return Listed(name=name, n_bytes=n_bytes, n_rows=n_rows)


def test_few_files_are_left_alone_and_many_are_merged() -> None:
    """Files of one level are merged once there are `FAN` of them, smaller ones with them."""
    few = [file(f"f{n}") for n in range(FAN - 1)]
    assert to_merge(few) == []
    many = [*few, file("last"), file("tiny", n_rows=1), file("large", n_rows=100_000)]
    (group,) = to_merge(many)
    assert {one.name for one in group} == {one.name for one in many} - {"large"}
    (everything,) = to_merge(many, fan=2)
    assert len(everything) == len(many)
    assert to_merge([file("only")], fan=2) == []


def test_full_files_and_files_without_a_count_are_never_written_again() -> None:
    """A file of half the maximal size stays as it is, and so does one of unknown length."""
    full = [file(f"f{n}", n_rows=9, n_bytes=MAX_BYTES // 2) for n in range(20)]
    unknown = [file(f"u{n}", n_rows=None) for n in range(20)]
    assert to_merge(full + unknown, fan=2) == []


def test_a_merge_stays_within_the_maximal_size() -> None:
    """Many files become several merged ones of bounded size."""
    groups = to_merge([file(f"f{n:02}", n_bytes=MAX_BYTES // 5) for n in range(30)])
    assert [len(group) for group in groups] == [5] * 6
    assert all(sum(one.n_bytes for one in group) <= MAX_BYTES for group in groups)


def test_files_stay_few_and_rows_are_written_again_a_few_times() -> None:
    """5,000 commits leave fewer than `FAN` files per level, each row written at most 5 times."""
    files: list[Listed] = []
    written = most = 0
    for number in range(5000):
        files.append(file(f"c{number:05}"))
        for group in to_merge(files):
            n_rows = sum(one.n_rows or 0 for one in group)
            written += n_rows
            files = [one for one in files if one not in group]
            files.append(file(f"m{number:05}", n_rows=n_rows))
        most = max(most, len(files))
    assert sum(one.n_rows or 0 for one in files) == 50_000
    assert most < FAN * 5
    assert written <= 5 * 50_000
