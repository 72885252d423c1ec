"""What was rejected is told by reason, and fails a run where that is asked for."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from ingesting import picture, put

from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.flows.results.moderation import Moderation, TooManyRejected


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Create a list of four files, of which one exists."""
    put(tmp_path, {"a.png": picture(1), "text.png": b"no picture"})
    source = tmp_path / "list.csv"
    source.write_text("image\na.png\nnot.png\nthere.png\ntext.png\n")
    return source


@pytest.mark.parametrize(("share", "code"), [("0.75", 0), ("0.7", 3), ("0", 3)])
def test_a_share_of_rejected_items_fails_the_command(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], share: str, code: int
) -> None:
    """After the whole run and its summary, with the reasons by number; more than the share."""
    lake = str(tmp_path / "lake")
    arguments = ["ingest", str(listed), "--lake", lake, "--fail-on-rejected", share]
    if code:
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == code
    else:
        main(arguments)
    printed = capsys.readouterr()
    assert "rejected 3" in printed.out
    lines = [" ".join(line.split()) for line in printed.out.splitlines()]
    assert lines.index("2 not_found: file not found") < lines.index("1 not_an_image: not an image")
    assert "Correct the path in the list, or restore the file." in lines
    said = (
        f"3 of 4 items were rejected, a share of 0.75; --fail-on-rejected allows {share}; most"
        " frequent reasons: not_found 2, not_an_image 1. The results of the run are committed"
    )
    assert (said in printed.err) == bool(code)
    assert (tmp_path / "lake" / "tables" / "images").is_dir()


def test_a_run_in_which_all_was_rejected_leads_to_its_sources() -> None:
    """There is nothing to show, to score or to publish; the same command once they are mended."""
    result = Moderation(
        run_id="r",
        lake="x",
        batch_id="b",
        items=2,
        rejected=2,
        rejected_by_reason={"bad_row": 1, "of_a_later_version": 1},
        decisions={"clear": 0},
        again="assay moderate /list.csv --lake x",
    )
    lines = result.summary().splitlines()
    assert lines[-1] == "  assay moderate /list.csv --lake x  # after correcting the sources"
    assert "assay show" not in result.summary()
    assert "1   of_a_later_version: of_a_later_version" in result.summary()


def test_values_that_are_no_label_are_told_with_their_number() -> None:
    """The most frequent first, and that there are more; nothing in them steers a terminal."""
    counts = {"dog": 1, "\x1b[2Jcat": 3, "a": 1, "b": 1, "c": 1, "d": 1}
    result = Moderation(run_id="r", lake="x", batch_id="b", items=8, labels_not_taken=counts)
    told = 'no label            8   value is not a label: "\\x1b[2Jcat" 3, "a" 1, "b" 1, "c" 1'
    assert f'{told}, "d" 1, ...' in result.summary()
    assert "no label" not in Moderation(run_id="r", lake="x", batch_id="b").summary()


def test_the_refusal_travels_between_processes() -> None:
    """A worker's error keeps the counts of the run."""
    refused = TooManyRejected(Moderation(run_id="r", lake="x", items=4, rejected=3), 0.5)
    again = pickle.loads(pickle.dumps(refused))
    assert (again.result, again.share, str(again)) == (refused.result, 0.5, str(refused))


def test_a_source_that_is_not_there_leaves_no_lake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt path makes no empty lake; where there is one, the run is recorded as failed."""
    arguments = ["ingest", str(tmp_path / "nowhere"), "--lake", str(tmp_path / "lake")]
    for _ in range(2):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 3
        assert "nowhere" in capsys.readouterr().err
        assert not (tmp_path / "lake").exists()
    lake = Lake(tmp_path / "lake")
    with pytest.raises(SystemExit):
        main(arguments)
    assert set(lake.scan("runs").collect()["status"]) == {"running", "failed"}
