"""Answers are durable, counted once, and moved into the table in few commits."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from processes import PROCESSES, forked
from reviewing import AT, answer, image_ids, images_lake

from assay.data.errors import InputError, StoreError
from assay.data.store.journal import connect as connecting
from assay.data.store.lake import Lake
from assay.tasks.review.answer import withdrawal
from assay.tasks.review.answers import all_answers, pending_answers, settle, standing_answers
from assay.tasks.review.journal import Journal

A, B, C = image_ids(3)


@pytest.fixture
def lake(tmp_path):
    return images_lake(tmp_path / "lake")


def labels(lake):
    """Return the standing answers as (image, reviewer, label)."""
    rows = standing_answers(lake).select("image_id", "reviewer", "label").sort(pl.all())
    return list(rows.collect().iter_rows())


def test_an_answer_is_on_disk_when_record_returns(lake):
    """Another connection sees it at once, before anything is in the table."""
    with Journal(lake) as journal:
        journal.record([answer(A, note="six fingers", shown=["map"])])
        assert lake.version("reviews") is None
        [row] = pending_answers(lake).iter_rows(named=True)
        assert (row["image_id"], row["note"], row["shown"]) == (A, "six fingers", ["map"])
        assert labels(Lake(lake.uri)) == [(A, "ann", "fake")]


def test_closing_moves_answers_into_the_table_in_one_commit(lake):
    """The journal is empty then, and the table has a row per answer."""
    with Journal(lake) as journal:
        for image_id in (A, B, C):
            journal.record([answer(image_id)])
    assert lake.scan("reviews").collect().height == 3
    assert lake.version("reviews") == 1  # made, and one commit
    assert pending_answers(lake).is_empty()


def test_an_answer_sent_twice_is_recorded_once(lake):
    """Before and after it was moved, and within one call."""
    one = answer(A)
    with Journal(lake) as journal:
        journal.record([one, one])
        journal.record([one])
        assert journal.n_waiting() == 1
        journal.fold()
        journal.record([one])
    assert lake.scan("reviews").collect().height == 1


def test_an_id_of_another_answer_is_refused_and_nothing_is_lost(lake):
    """Both answers of the call stay out, and the first one stays."""
    with Journal(lake) as journal:
        journal.record([answer(A, "fake", answer_id="a" * 32)])
        with pytest.raises(InputError, match="was used for another answer; nothing was recorded"):
            journal.record([answer(B), answer(A, "real", answer_id="a" * 32)])
    assert labels(lake) == [(A, "ann", "fake")]


def test_answers_about_unknown_images_are_refused_together(lake):
    """The message names one, and how many there are."""
    unknown = ["e" * 64, "f" * 64]
    with Journal(lake) as journal:
        with pytest.raises(InputError, match=rf"no image {'e' * 64} \(2 of 3 images are unknown\)"):
            journal.record([answer(image_id) for image_id in (A, *unknown)])
        assert journal.n_waiting() == 0


def test_an_answer_from_the_future_is_refused(lake):
    """It would overrule every later answer."""
    ahead = datetime.now(UTC) + timedelta(days=2)
    with Journal(lake) as journal, pytest.raises(InputError, match="lies ahead; nothing was"):
        journal.record([answer(A, reviewed_at=ahead)])


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_withdrawn_answer_gives_way_to_the_one_before(lake, is_moved):
    """Undo brings back what the reviewer said before, and without it nothing."""
    first, second = answer(A, "real", reviewed_at=AT), answer(A, "fake")
    with Journal(lake) as journal:
        journal.record([first, second])
        assert labels(lake) == [(A, "ann", "fake")]
        if is_moved:
            journal.fold()
        journal.record([withdrawal(second.as_row(), origin="page")])
        assert labels(lake) == [(A, "ann", "real")]
        journal.record([withdrawal(first.as_row(), origin="page")])
        assert labels(lake) == []
    assert labels(lake) == []
    assert all_answers(lake).collect().height == 4


@pytest.mark.parametrize("is_moved", [False, True])
def test_only_own_answers_are_withdrawn(lake, is_moved):
    """Neither another reviewer's, nor one about another image, nor a withdrawal."""
    given = answer(A)
    back = withdrawal(given.as_row(), origin="page")
    with Journal(lake) as journal:
        journal.record([given, back])
        if is_moved:
            journal.fold()
        for wrong in (
            {"reviewer": "bob", "withdraws": given.answer_id},
            {"image_id": B, "withdraws": given.answer_id},
            {"withdraws": back.answer_id},
            {"withdraws": "b" * 32},
        ):
            with pytest.raises(InputError, match="has given no answer"):
                journal.record([answer(**({"image_id": A} | wrong))])


def test_many_answers_are_moved_by_themselves(lake):
    """The thread of the journal commits at the number that was set."""
    done = threading.Event()
    moved = []

    class Watched(Lake):
        def append(self, table, rows, *, txn, after=None):
            is_new = super().append(table, rows, txn=txn, after=after)
            moved.append(len(rows))
            done.set()
            return is_new

    with Journal(Watched(lake.uri), fold_answers=4, fold_after_s=3600) as journal:
        journal.record([answer(A) for _ in range(3)])
        journal.record([answer(B)])
        assert done.wait(60)
    assert moved == [4]


def test_answers_that_have_waited_are_moved_by_themselves(lake):
    """A reader of the table does not wait for a full number."""
    done = threading.Event()

    class Watched(Lake):
        def append(self, table, rows, *, txn, after=None):
            done.set()
            return super().append(table, rows, txn=txn, after=after)

    with Journal(Watched(lake.uri), fold_after_s=0.01) as journal:
        journal.record([answer(A)])
        assert done.wait(60)


def test_a_store_that_fails_keeps_answers_in_the_journal(lake, caplog):
    """The next fold moves them."""

    class Full(Lake):
        def append(self, table, rows, *, txn, after=None):
            raise StoreError("no space")

    with Journal(Full(lake.uri)) as journal:
        journal.record([answer(A)])
        with pytest.raises(StoreError, match="no space"):
            journal.fold()
    assert "are not lost: no space" in caplog.text
    assert labels(lake) == [(A, "ann", "fake")]
    assert settle(lake) == 1
    assert lake.scan("reviews").collect().height == 1


def test_500_answers_leave_few_files(lake):
    """One at a time, with a commit per 25 answers: 20 commits, and fewer than 8 data files."""
    with Journal(lake, fold_answers=10**6, fold_after_s=3600) as journal:
        for number in range(500):
            journal.record([answer((A, B, C)[number % 3])])
            if number % 25 == 24:
                journal.fold()
    assert lake.scan("reviews").collect()["answer_id"].n_unique() == 500
    assert len(lake.tables.files("reviews")) < 16
    assert len(lake.store.files("tables/reviews")) <= 30
    assert len(lake.store.files("review")) <= 3


def test_answers_that_come_during_a_fold_wait_for_the_next_one(lake):
    """A busy page makes one commit per fold, not one after the other."""

    class Busy(Lake):
        def append(self, table, rows, *, txn, after=None):
            journal.record([answer(B)])
            return super().append(table, rows, txn=txn, after=after)

    journal = Journal(Busy(lake.uri), fold_after_s=3600)
    journal.record([answer(A)])
    assert journal.fold() == 1
    assert journal.n_waiting() == 1
    assert lake.version("reviews") == 1
    journal.lake = lake
    journal.close()


def test_a_lake_without_answers_settles_at_the_cost_of_a_look(lake):
    """No journal is made."""
    assert settle(lake) == 0
    assert labels(lake) == []
    assert lake.store.files("review") == []


def test_a_moved_lake_keeps_its_waiting_answers(lake, tmp_path):
    """The journal names no place."""
    journal = Journal(lake)
    journal.record([answer(A)])
    (tmp_path / "lake").rename(tmp_path / "moved")
    moved = Lake(tmp_path / "moved")
    assert labels(moved) == [(A, "ann", "fake")]
    assert settle(moved) == 1
    assert moved.scan("reviews").collect().height == 1


def test_a_lake_of_an_older_version_keeps_its_answers(lake):
    """Its rows have none of the new columns, and count beside new ones."""
    old = {"image_id": A, "label": "real", "reviewer": "ann", "note": None, "reviewed_at": AT}
    lake.append("reviews", [old, old | {"image_id": B}], txn="old")
    with Journal(lake) as journal:
        journal.record([answer(A, "fake")])
    assert labels(lake) == sorted([(A, "ann", "fake"), (B, "ann", "real")])


def record_some(uri, number, start, at_once):
    """Record answers in a process of its own."""
    start.wait()
    with Journal(Lake(uri), fold_answers=10) as journal:
        for _ in range(8):
            journal.record([answer(A, reviewer=f"r{number}") for _ in range(at_once)])


def test_several_processes_record_and_move_at_once(lake):
    """Three writers of 24 answers each: all are in the table, each once."""
    start = PROCESSES.Event()
    children = [
        PROCESSES.Process(target=record_some, args=(lake.uri, number, start, 3))
        for number in range(3)
    ]
    for child in children:
        child.start()
    start.set()
    for child in children:
        child.join(timeout=120)
        assert child.exitcode == 0
    rows = lake.scan("reviews").collect()
    assert rows.height == rows["answer_id"].n_unique() == 72
    assert pending_answers(lake).is_empty()


def n_read(uri):
    """Return the number of answers that a process of its own reads."""
    return all_answers(Lake(uri)).collect().height


def test_another_process_that_reads_leaves_the_log_to_the_writer(lake):
    """It would remove the log at its end if it took itself for the last user of the journal."""
    with Journal(lake, fold_after_s=3600) as journal:
        for number in (1, 2, 3):
            journal.record([answer(A)])
            assert forked(n_read, lake.uri) == number


def test_threads_share_a_journal(lake):
    """Four threads of 25 answers each."""
    with Journal(lake, fold_answers=10) as journal:
        threads = [
            threading.Thread(
                target=lambda n=n: [journal.record([answer(A, reviewer=f"r{n}")]) for _ in "x" * 25]
            )
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert lake.scan("reviews").collect()["answer_id"].n_unique() == 100


def test_a_full_disk_is_an_error_in_words_and_keeps_what_was_recorded(lake):
    """SQLite's own error for a full disk, from a limit on the pages of the file."""
    with Journal(lake) as journal:
        journal.record([answer(A)])
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"No space left on device; make room there"):
            journal.record([answer(B, note="x" * 5000), answer(C, note="x" * 5000)])
        assert journal.n_waiting() == 1
        journal._connection.execute(f"PRAGMA max_page_count = {pages + 100}")
        journal.record([answer(B)])
    assert labels(lake) == sorted([(A, "ann", "fake"), (B, "ann", "fake")])


def test_a_journal_that_another_process_holds_is_an_error_in_words(lake, monkeypatch):
    """After a wait, with what to do."""
    monkeypatch.setattr(connecting, "TIMEOUT_S", 0.05)
    with Journal(lake) as journal:
        other = sqlite3.connect(journal.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"another process has held it .* try again"):
            journal.record([answer(A)])
        other.execute("ROLLBACK")
        other.close()
        journal.record([answer(A)])
    assert labels(lake) == [(A, "ann", "fake")]


def test_a_damaged_journal_is_an_error_in_words(lake):
    """Answers are not left out in silence."""
    with Journal(lake) as journal:
        journal.record([answer(A)])
    journal.path.write_bytes(b"no database" * 1000)
    for work in (Journal, settle, standing_answers):
        with pytest.raises(StoreError, match=r"is damaged .*lake repair"):
            work(lake)


def test_a_journal_of_a_later_version_is_refused(lake):
    """Its tables may mean something else."""
    with Journal(lake) as journal:
        journal.record([answer(A)])
    with sqlite3.connect(journal.path) as changed:
        changed.execute("PRAGMA user_version = 3")
    changed.close()
    with pytest.raises(StoreError, match=r"has version 3; .* upgrade assay"):
        Journal(lake)


def test_a_journal_of_an_object_store_is_in_the_home_of_the_user(tmp_path, monkeypatch):
    """Two lakes have two, whatever their names."""
    from assay.data.store.journal.place import journal_path
    from assay.data.store.open_store import open_store

    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    paths = {journal_path(open_store(f"s3://bucket/{name}")) for name in ("a", "b", "a")}
    assert len(paths) == 2
    assert all(path.is_relative_to(tmp_path) for path in paths)
