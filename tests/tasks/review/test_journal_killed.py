"""A writer of answers that was killed with SIGKILL loses no answer and doubles none."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest
from processes import PROCESSES
from reviewing import answer, image_ids, images_lake

from assay.data.store.lake import Lake
from assay.tasks.review.answers import all_answers, settle
from assay.tasks.review.journal import Journal

A, B, _ = image_ids(3)


def kill_here():
    """End this process as the system would."""
    os.kill(os.getpid(), signal.SIGKILL)


def record_and_die(uri, point):
    """Record two answers, and be killed at a point."""
    real = Lake.append

    def append(lake, table, rows, *, txn, after=None):
        if point == "before the commit":
            kill_here()
        real(lake, table, rows, txn=txn, after=after)
        if point == "after the commit":
            kill_here()
        return True

    Lake.append = append
    journal = Journal(Lake(uri), fold_after_s=3600)
    journal.record([answer(A, answer_id="a" * 32)])
    if point == "within record":
        insert = journal._insert
        journal._insert = lambda one: insert(one) and kill_here()
    journal.record([answer(B, answer_id="b" * 32)])
    if point == "after record":
        kill_here()
    journal.fold()


@pytest.mark.parametrize(
    ("point", "n_recorded"),
    [
        ("within record", 1),
        ("after record", 2),
        ("before the commit", 2),
        ("after the commit", 2),
    ],
)
def test_answers_survive_a_kill_at_every_point_and_are_moved_once(tmp_path, point, n_recorded):
    """What `record` returned for is there; what it did not return for is not."""
    lake = images_lake(tmp_path / "lake")
    child = PROCESSES.Process(target=record_and_die, args=(lake.uri, point))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL
    wanted = ["a" * 32, "b" * 32][:n_recorded]
    assert sorted(all_answers(lake).collect()["answer_id"]) == wanted
    settle(lake)
    assert sorted(lake.scan("reviews").collect()["answer_id"]) == wanted
    # A client that never heard back sends its answers again.
    with Journal(lake) as journal:
        journal.record([answer(A, answer_id="a" * 32), answer(B, answer_id="b" * 32)])
    assert sorted(lake.scan("reviews").collect()["answer_id"]) == ["a" * 32, "b" * 32]


def record_until_killed(uri, out):
    """Record answers one by one, and say which were acknowledged."""
    journal = Journal(Lake(uri), fold_answers=4, fold_after_s=0.05)
    while True:
        made = answer(A)
        journal.record([made])
        out.send(made.answer_id)


def test_acknowledged_answers_survive_kills_at_any_time_beside_readers(tmp_path):
    """Two writers at once, killed three times while the thread of each moves answers."""
    lake = images_lake(tmp_path / "lake")
    acknowledged = set()
    for n_before_kill in (1, 9, 17):
        writers = []
        for _ in range(2):
            given, out = PROCESSES.Pipe(duplex=False)
            child = PROCESSES.Process(target=record_until_killed, args=(lake.uri, out))
            child.start()
            out.close()
            writers.append((child, given))
        for child, given in writers:
            acknowledged |= {given.recv() for _ in range(n_before_kill)}
            assert acknowledged <= set(all_answers(lake).collect()["answer_id"])
            child.kill()
            child.join(timeout=60)
            with contextlib.suppress(EOFError):
                while True:
                    acknowledged.add(given.recv())
    settle(lake)
    ids = lake.scan("reviews").collect()["answer_id"].to_list()
    assert acknowledged <= set(ids)
    assert len(ids) == len(set(ids))
