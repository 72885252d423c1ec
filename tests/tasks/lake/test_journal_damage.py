"""A damaged journal of answers is found, and what can be read of it is saved."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from lakes import Shot, lake_of
from reviewing import answer

from assay.data.store.journal.place import journal_path
from assay.tasks.lake.check import check
from assay.tasks.lake.repair import repair
from assay.tasks.lake.sweep import sweep
from assay.tasks.lake.vacuum import vacuum
from assay.tasks.review.answers import all_answers, settle, standing_answers
from assay.tasks.review.journal import Journal

N = 300


@pytest.fixture
def lake(tmp_path):
    """Return a lake with 300 answers in its journal, which was closed as by a kill."""
    made = lake_of(tmp_path / "lake", [Shot(name="a", seed=1, size=(64, 48))])
    waiting = [answer(made.ids["a"], reviewer=f"r{n}", note="n" * 100) for n in range(N)]
    with Journal(made.lake, fold_answers=10**6, fold_after_s=3600) as journal:
        journal.record(waiting)
        journal.fold = lambda: 0
    return made.lake


def of_journal(health):
    return [f for f in health.findings if f.where == "review/journal.sqlite"]


def test_a_whole_journal_is_no_damage(lake):
    """Waiting answers are a note, and nothing once they are in the table."""
    for deep in (False, True):
        [note] = of_journal(check(lake, deep=deep))
        assert (note.what, note.is_damage) == ("answers waiting", False)
        assert note.problem == "has 300 answers that are not in the table yet"
    settle(lake)
    assert of_journal(check(lake)) == []


def test_upkeep_leaves_the_journal_alone(lake):
    """However old its files are."""
    path = journal_path(lake.store)
    (path.parent / "journal.sqlite-wal").touch()
    for file in path.parent.iterdir():
        os.utime(file, (1e9, 1e9))
    before = {file.name for file in path.parent.iterdir()}
    vacuum(lake, older_than_s=3600)
    assert sweep(lake, older_than_s=3600) == []
    assert {file.name for file in path.parent.iterdir()} == before
    assert settle(lake) == N


def test_answers_around_a_damaged_page_are_saved(lake):
    """Pages in the middle of the file are overwritten; both ends of the table stay readable."""
    path = journal_path(lake.store)
    with sqlite3.connect(path) as connection:
        pages = [
            row[0]
            for row in connection.execute(
                "SELECT pageno FROM dbstat WHERE name = 'pending' AND pagetype = 'leaf'"
                " ORDER BY path"
            )
        ]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    raw = bytearray(path.read_bytes())
    middle = pages[len(pages) // 2]
    raw[(middle - 1) * size : middle * size] = b"\xff" * size
    path.write_bytes(raw)

    [damage] = of_journal(check(lake))
    assert damage.is_damage
    report = repair(lake)
    assert any("could not be read" in line for line in report.lost)
    assert of_journal(report.health)[0].what == "answers waiting"
    saved = all_answers(lake).collect()
    assert N - 20 < saved.height < N
    # A client that still has them sends them again, and each counts once.
    with Journal(lake) as journal:
        journal.record([answer(saved["image_id"][0], answer_id="c" * 32)])
    [old] = Path(lake.path("damaged")).rglob("journal.sqlite")
    assert old.read_bytes() == raw
    assert check(lake).rows["reviews"] == saved.height + 1


def test_a_journal_that_is_no_database_is_replaced(lake):
    """Nothing can be saved, and the loss is said."""
    journal_path(lake.store).write_bytes(b"x" * 5000)
    assert of_journal(check(lake))[0].problem.startswith("cannot be read: ")
    report = repair(lake)
    assert len(report.lost) == 1
    assert of_journal(report.health) == []
    with Journal(lake) as journal:
        journal.record([answer(lake.scan("images").collect()["image_id"][0])])
    assert standing_answers(lake).collect().height == 1


def test_a_repair_that_was_killed_is_completed_by_the_next_one(lake):
    """The damaged file was moved away, and the new one had not its name yet."""
    path = journal_path(lake.store)
    path.rename(path.with_name("repaired-journal.sqlite"))
    assert of_journal(check(lake))[0].problem == "is missing, since a repair was interrupted"
    repair(lake)
    assert settle(lake) == N
