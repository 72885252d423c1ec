"""What another policy changes, before and after it is applied."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from lakes import START, Made, Shot, lake_of, reviewed
from processes import forked_command

from assay.data.errors import ConfigError
from assay.data.store.lake import Lake
from assay.flows.deciding.decide_again import Shadow, decide_again, shadow
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.redecide.changes import changes_text, count_changes
from assay.tasks.redecide.page import write_changes


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Images with scores 0.1, 0.5 and 0.9; under the packaged policy clear, review and flag."""
    shots = [Shot(name=f"{prob}.jpg", prob=prob, seed=i) for i, prob in enumerate((0.1, 0.5, 0.9))]
    made = lake_of(tmp_path / "lake", shots)
    reviewed(made, "0.9.jpg", "real")
    return made


def stricter() -> Policy:
    values = load_policy().as_dict()
    return policy_from_dict(
        values | {"default": {"review_at": 0.6, "flag_at": 0.95}}, source="test"
    )


def words(seen_by: Shadow) -> dict[tuple[str, str], int]:
    return {(one.was, one.now): one.n for one in seen_by.changes}


def test_shadow_counts_what_changes_and_writes_nothing(made: Made) -> None:
    """With thresholds of 0.6 and 0.95, review becomes clear and flag becomes review."""
    before = {name: made.lake.version(name) for name in ("decisions", "runs", "scores")}
    seen = shadow(made.lake, stricter())
    assert words(seen) == {("clear", "clear"): 1, ("review", "clear"): 1, ("flag", "review"): 1}
    flagged = next(one for one in seen.changes if one.was == "flag")
    assert (flagged.n_real, flagged.n_fake) == (1, 0)
    assert flagged.examples == (made.ids["0.9.jpg"],)
    assert {name: made.lake.version(name) for name in before} == before


def test_decisions_are_written_as_a_run_and_then_nothing_changes(made: Made) -> None:
    """The run is recorded with its policy, scores stay, and a second look finds no change."""
    n_scores = made.lake.version("scores")
    run_id = decide_again(made.lake, shadow(made.lake, stricter()))
    rows = made.lake.scan("runs").filter(pl.col("run_id") == run_id).collect()
    assert set(rows["status"]) == {"running", "completed"}
    assert json.loads(rows["params"][0])["policy_id"] == stricter().policy_id
    assert made.lake.version("scores") == n_scores
    again = shadow(made.lake, stricter())
    assert not any(one.is_changed for one in again.changes)
    assert again.before.policy_id == stricter().policy_id


def test_images_seen_before_a_time_are_left_out(made: Made) -> None:
    """All images of the lake were seen at its start."""
    assert words(shadow(made.lake, stricter(), since=START + timedelta(days=365))) == {}
    assert sum(words(shadow(made.lake, stricter(), since=START - timedelta(days=1))).values()) == 3


def test_lake_without_scores_is_refused(tmp_path: Path) -> None:
    """The message says what to run first."""
    with pytest.raises(ConfigError, match="assay score"):
        shadow(Lake(tmp_path / "empty"), stricter())


def test_text_lists_changes_with_shares_and_labels() -> None:
    """Of four images one changes: 25 %, with its exact interval."""
    rows = pl.DataFrame(
        {
            "image_id": ["a", "b", "c", "d"],
            "prob_fake": [0.1, 0.2, 0.3, 0.9],
            "was": ["clear", "clear", "clear", "flag"],
            "now": ["clear", "clear", "clear", "review"],
            "label": [None, None, None, "fake"],
        }
    )
    text = changes_text(count_changes(rows))
    assert "unchanged           3 of 4" in text
    assert "flag -> review      1   25.0 % (0.6 to 80.6 %), 1 labelled fake" in text


def test_page_shows_each_change_with_veiled_images(made: Made, tmp_path: Path) -> None:
    """Two changes with one image each; no script and no request."""
    seen = shadow(made.lake, stricter())
    path = write_changes(made.lake, seen.changes, tmp_path / "page.html", before="a", after="<b>")
    page = Path(path).read_text()
    assert "&lt;b&gt;" in page
    assert page.count('<img class="veil"') == 2

    assert "<script" not in page


@pytest.mark.xdist_group("forked commands")
def test_command_shows_and_then_decides(made: Made, tmp_path: Path) -> None:
    """The dry run and the run print the same changes."""
    (tmp_path / "p.toml").write_text(
        'name = "p"\nmin_short_edge_px = 440\nunlisted_domain = "default"\n'
        "[default]\nreview_at = 0.6\nflag_at = 0.95\n"
    )
    seen = []
    for more in (["--dry-run"], []):
        arguments = ("decide", "--lake", made.lake.uri, "--policy", "p.toml", "--json", *more)
        done = forked_command(*arguments, cwd=tmp_path, env=os.environ)
        assert done.returncode == 0, done.stderr
        seen.append(json.loads(done.stdout))
    assert seen[0]["changes"] == seen[1]["changes"]
    assert (seen[0]["changed"], seen[0]["run_id"]) == (2, None)
    assert seen[1]["run_id"] is not None


@pytest.mark.xdist_group("forked commands")
def test_images_that_nobody_saw_since_are_no_run(made: Made, tmp_path: Path) -> None:
    """The command says that it decided nothing, and records nothing."""
    n_runs = made.lake.scan("runs").collect().height
    arguments = ("decide", "--lake", made.lake.uri, "--since", "2999-01-01")
    done = forked_command(*arguments, cwd=tmp_path, env=os.environ)
    assert (done.returncode, made.lake.scan("runs").collect().height) == (0, n_runs)
    assert "no scored image was last seen since 2999-01-01 00:00 UTC" in done.stdout
