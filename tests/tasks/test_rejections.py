"""Rejected items are counted by reason, and each reason says what to do."""

from __future__ import annotations

import json
from pathlib import Path

from ingesting import picture, put

from assay.data.store.lake import Lake
from assay.data.vocabulary import Reason
from assay.flows.cli import main
from assay.tasks.rejections import REMEDIES, most_first, remedy_of


def test_every_reason_has_one_sentence_that_says_what_to_do() -> None:
    """The list follows the closed vocabulary, and no two reasons share a sentence."""
    assert set(REMEDIES) == set(Reason)
    assert len(set(REMEDIES.values())) == len(REMEDIES)
    for text in REMEDIES.values():
        assert text[0].isupper()
        assert text.endswith(".")
        assert len(text) <= 120


def test_a_reason_of_a_later_version_leads_to_an_update() -> None:
    """A word that this version does not know is not an error."""
    assert remedy_of("empty") == "Export or download the file again."
    assert remedy_of("of_a_later_version") == "Update assay; a later version recorded this reason."


def test_the_most_frequent_reason_comes_first() -> None:
    """Equal counts stand in the order of their names."""
    counts = {"empty": 1, "truncated": 3, "bad_row": 1}
    assert list(most_first(counts).items()) == [("truncated", 3), ("bad_row", 1), ("empty", 1)]


def test_the_record_of_a_run_counts_rejected_items_by_reason(tmp_path: Path) -> None:
    """The run's row has the counts, and so has what `--json` prints of it."""
    files = {"a.png": picture(1), "b.txt.png": b"no image", "c.png": b"", "d.png": b"nor this"}
    source = put(tmp_path / "in", files)
    uri = str(tmp_path / "lake")
    main(["ingest", str(source), "--lake", uri, "--quiet", "--json"])
    last = (
        Lake(uri).scan("runs").sort("finished_at", nulls_last=False).collect().row(-1, named=True)
    )
    counts = json.loads(last["counts"])
    assert list(counts["rejected_by_reason"].items()) == [("not_an_image", 2), ("empty", 1)]
