"""What is read of a lake for its queue: in parts, and only as much as is kept."""

from __future__ import annotations

import polars as pl
import pytest
from reviewing import image_ids, judged_lake

from assay.tasks import latest_rows
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.review.queue import candidates as reader
from assay.tasks.review.queue.candidates import Judged, best_candidates

NOTHING = pl.Series("image_id", [], dtype=pl.String)


def best(lake):
    """Return the ids of the first images, and whether there are more."""
    judged = Judged.of(lake, None, None)
    ranked, has_more = best_candidates(lake, judged, without=NOTHING, known=NOTHING, seed=0)
    return ranked["image_id"].to_list(), has_more


def test_a_lake_that_is_read_in_parts_has_the_queue_of_the_whole(tmp_path, monkeypatch):
    """Eight parts of five images, of which twelve are kept."""
    lake = judged_lake(tmp_path / "lake", [number / 40 for number in range(40)])
    whole, has_more = best(lake)
    assert (sorted(whole), has_more) == (sorted(image_ids(40)), False)
    monkeypatch.setattr(reader, "MAX_RANKED", 12)
    monkeypatch.setattr(reader, "ROWS_AT_A_TIME", 5)
    assert best(lake) == (whole[:12], True)


def test_thresholds_are_those_of_the_recorded_policy(tmp_path):
    """The record of the run has the rules."""
    lake = judged_lake(tmp_path / "lake", [0.5])
    judged = Judged.of(lake, None, None)
    assert judged.policy == load_policy()
    row = reader.candidates(lake, judged, latest_rows.WHOLE).row(0, named=True)
    band = load_policy().default
    assert row["review_at"] == pytest.approx(band.review_at)
    assert row["flag_at"] == pytest.approx(band.flag_at)


def test_a_policy_that_no_record_has_leaves_the_thresholds_open(tmp_path):
    """Decisions of another policy are not read."""
    lake = judged_lake(tmp_path / "lake", [0.5])
    judged = Judged.of(lake, None, "unknown@000000000000")
    assert judged.policy is None
    row = reader.candidates(lake, judged, latest_rows.WHOLE).row(0, named=True)
    assert (row["review_at"], row["decision"]) == (None, None)


def test_the_label_of_a_source_is_read(tmp_path):
    """It may speak against a flag."""
    lake = judged_lake(tmp_path / "lake", [0.9, 0.9], labels=["real", None])
    rows = reader.candidates(lake, Judged.of(lake, None, None), latest_rows.WHOLE)
    assert dict(rows.select("image_id", "source_label").iter_rows()) == {
        image_ids(2)[0]: "real",
        image_ids(2)[1]: None,
    }
