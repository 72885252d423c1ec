"""Rows are committed in portions, and an error loses none of the finished ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from assay.data.errors import StoreError
from assay.data.schema import Row
from assay.tasks.score import ScoreCounts
from assay.tasks.work import commit_portions as module
from assay.tasks.work.commit_portions import commit_portions
from assay.tasks.work.stopping import kept_of


class Table:
    """Committed portions, and the number of images told."""

    def __init__(self) -> None:
        self.portions: list[list[int]] = []
        self.n_told = 0

    def commit(self, rows: Sequence[Row]) -> ScoreCounts:
        """Keep the numbers of rows, and count them as scored."""
        self.portions.append([row["n"] for row in rows])
        return ScoreCounts(scored=len(rows))

    def told(self, n_images: int) -> None:
        """Add to the number of images told."""
        self.n_told += n_images


def parts_of(*sizes: int, error: BaseException | None = None) -> Iterator[tuple[list[Row], int]]:
    """Yield numbered rows in parts of sizes, one image per row, then raise."""
    n = 0
    for size in sizes:
        yield [{"n": n + i} for i in range(size)], size
        n += size
    if error is not None:
        raise error


def test_a_portion_is_committed_once_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 2, 1 and 2 rows make portions of 3 and 2, added to the counts so far."""
    monkeypatch.setattr(module, "ROWS_A_COMMIT", 3)
    table = Table()
    counts = commit_portions(
        parts_of(2, 1, 2), table.commit, ScoreCounts(known=4), on_item=table.told
    )
    assert table.portions == [[0, 1, 2], [3, 4]]
    assert counts == ScoreCounts(scored=5, known=4)
    assert table.n_told == 5


def test_a_portion_is_committed_once_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without time to wait, each part is a portion."""
    monkeypatch.setattr(module, "COMMIT_EVERY_S", -1.0)
    table = Table()
    commit_portions(parts_of(1, 2), table.commit, ScoreCounts())
    assert table.portions == [[0], [1, 2]]


def test_nothing_made_is_nothing_committed() -> None:
    """No commit without rows, also where parts finish images without rows."""
    table = Table()
    assert commit_portions(iter([([], 2)]), table.commit, ScoreCounts(), on_item=table.told) == (
        ScoreCounts()
    )
    assert (table.portions, table.n_told) == ([], 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_an_error_commits_what_is_finished(error: BaseException) -> None:
    """The counts of the commit travel with the error."""
    table = Table()
    with pytest.raises(type(error)) as raised:
        commit_portions(parts_of(2, error=error), table.commit, ScoreCounts())
    assert table.portions == [[0, 1]]
    assert kept_of(raised.value) == (ScoreCounts(scored=2),)


def test_an_error_of_the_lake_is_not_answered_by_another_commit() -> None:
    """The lake cannot be read; the rows stay with the run that repeats the step."""
    table = Table()
    with pytest.raises(StoreError) as raised:
        commit_portions(parts_of(2, error=StoreError("gone")), table.commit, ScoreCounts())
    assert table.portions == []
    assert kept_of(raised.value) == (ScoreCounts(),)
