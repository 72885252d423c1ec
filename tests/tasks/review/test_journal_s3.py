"""The journal of a lake in an object store, on an S3 server on loopback."""

from __future__ import annotations

import pytest
from reviewing import answer, image_ids, images_lake
from s3_server import s3_server

from assay.data.store.lake import Lake
from assay.tasks.lake.check import check
from assay.tasks.review.answers import settle, standing_answers
from assay.tasks.review.journal import Journal
from assay.tasks.review.queue import next_items

A, B, C = image_ids(3)


@pytest.fixture(scope="module")
def lake():
    """Return a lake with three images on S3."""
    with s3_server("reviewed"):
        yield images_lake("s3://reviewed/some/lake")


def test_answers_wait_on_this_machine_and_reach_others_by_the_table(lake, tmp_path, monkeypatch):
    """Another machine, with a home of its own, sees them once they were moved."""
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "mine"))
    journal = Journal(lake, fold_after_s=3600)
    [item] = next_items(lake, journal, reviewer="ann", n=1)
    journal.record([answer(item.image_id)])
    assert standing_answers(lake).collect().height == 1
    assert lake.store.files("review") == []
    [path] = (tmp_path / "mine").rglob("journal.sqlite")
    [note] = [found for found in check(lake).findings if found.what == "answers waiting"]
    assert note.where == str(path)

    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "theirs"))
    there = Lake(lake.uri)
    assert standing_answers(there).collect().is_empty()
    journal.close()
    assert standing_answers(there).collect()["image_id"].to_list() == [item.image_id]
    assert settle(there) == 0
    assert not (tmp_path / "theirs").exists()
