"""An import that was killed with SIGKILL has recorded all of the file or nothing of it."""

import os
import signal
from pathlib import Path

import lakes
import pytest
from lakes import Shot
from processes import PROCESSES

from assay.data.store.lake import Lake
from assay.tasks.exchange.import_answers import import_answers
from assay.tasks.exchange.label_studio_values import Reader
from assay.tasks.review.answers import all_answers, settle
from assay.tasks.review.journal import Journal

N = 8


def kill_here():
    """End this process as the system would."""
    os.kill(os.getpid(), signal.SIGKILL)


def import_and_die(uri, file, point):
    """Import a file, and be killed at a point."""
    insert, append, n_inserted = Journal._insert, Lake.append, 0

    def insert_some(journal, one):
        nonlocal n_inserted
        n_inserted += 1
        if point == "half way" and n_inserted > N // 2:
            kill_here()
        return insert(journal, one)

    def append_or_die(lake, table, rows, *, txn, after=None):
        if point == "before the commit":
            kill_here()
        append(lake, table, rows, txn=txn, after=after)
        kill_here()

    Journal._insert, Lake.append = insert_some, append_or_die
    import_answers(Lake(uri), Path(file), reader=Reader())


@pytest.mark.parametrize(
    ("point", "n_recorded"), [("half way", 0), ("before the commit", N), ("after the commit", N)]
)
def test_a_killed_import_is_repeated_without_a_double(tmp_path, point, n_recorded):
    """The same file again brings what is missing, and each answer is there once."""
    made = lakes.lake_of(tmp_path / "lake", [Shot(name=f"{n}.jpg", seed=n) for n in range(N)])
    file = tmp_path / "answers.csv"
    rows = [f"{image_id},real,ann" for image_id in made.ids.values()]
    file.write_text("\n".join(["image_id,label,reviewer", *rows]) + "\n")
    child = PROCESSES.Process(target=import_and_die, args=(made.lake.uri, str(file), point))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL
    assert all_answers(made.lake).collect().height == n_recorded
    again = import_answers(made.lake, file, reader=Reader())
    assert (len(again.answers), again.n_known) == (N - n_recorded, n_recorded)
    settle(made.lake)
    answers = made.lake.scan("reviews").collect()
    assert sorted(answers["image_id"]) == sorted(made.ids.values())
