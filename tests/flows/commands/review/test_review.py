"""`assay review next`, `add` and `undo`: a person answers without a page."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest
from lakes import Shot, copied_lake, lake_of
from reviewing import image_ids, judged_lake

from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.tasks.review.answers import standing_answers
from assay.tasks.review.journal import Journal

PROBS = [0.5, 0.6, 0.66, 0.1]
IDS = image_ids(len(PROBS))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return judged_lake(tmp_path_factory.mktemp("judged") / "lake", PROBS)


@pytest.fixture
def lake(template, tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_REVIEWER", "ann")
    made = copied_lake(template, tmp_path / "lake")
    monkeypatch.setenv("ASSAY_LAKE", made.uri)
    return made


@pytest.fixture
def assay(capsys):
    """Run the command; return exit code, stdout and stderr."""

    def run(*words):
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def items(assay, *words):
    code, out, err = assay("review", "next", "--json", *words)
    assert code == 0, err
    return json.loads(out)


def test_next_lists_images_and_keeps_them_from_others(lake, assay):
    """The same reviewer sees them again until they are answered; nobody else does."""
    first = items(assay, "-n", 2)
    assert first["reviewer"] == "ann"
    assert [item["image_id"] for item in first["items"]] == [IDS[2], IDS[1]]
    assert first["items"][0]["why"].startswith("Flagged: score 0.66")
    assert "kind" not in first["items"][0]
    assert [item["image_id"] for item in items(assay, "-n", 2)["items"]] == [IDS[2], IDS[1]]
    others = items(assay, "--reviewer", "bob")["items"]
    assert {item["image_id"] for item in others} == {IDS[0], IDS[3]}
    assert items(assay, "-r", "eve")["items"] == []


def test_next_in_words_names_the_command_that_answers(lake, assay):
    """And what to do when nothing is left."""
    code, out, _ = assay("review", "next", "-n", 1)
    assert code == 0
    assert f"{IDS[2][:16]}  file:///pictures/2.jpg" in out
    assert f"assay review add {IDS[2][:16]} LABEL --lake {lake.uri}" in out
    assay("review", "next", "-n", 100, "-r", "bob")
    _, out, _ = assay("review", "next", "-r", "eve")
    assert out == f"nothing is left to review for eve in {lake.uri}\n"


def test_add_records_answers_with_what_was_shown(lake, assay):
    """A leased image was shown with its score; the kind is that of its lease."""
    items(assay, "-n", 1)
    code, out, _ = assay(
        *("review", "add", IDS[2][:10], "fake", IDS[3], "real"),
        *("--reason", "known_source", "--note", "by hand"),
    )
    assert (code, out) == (0, "recorded    2 of ann: 1 fake, 1 real\n")
    rows = {row["image_id"]: row for row in standing_answers(lake).collect().to_dicts()}
    leased, other = rows[IDS[2]], rows[IDS[3]]
    assert (leased["kind"], leased["shown"]) == ("queue", ["score", "reasons"])
    assert (other["kind"], other["shown"]) == ("grid", [])
    assert {leased["origin"], other["origin"]} == {"command"}
    assert (other["reason"], other["note"]) == ("known_source", "by hand")
    # Visible in the table at once, and no longer leased.
    assert lake.scan("reviews").collect().height == 2
    with Journal(lake) as journal:
        assert journal.leases.held() == {}


def test_undo_takes_back_the_latest_answer(lake, assay):
    """The one before it counts again; then nothing is left to take back."""
    for label in ("real", "fake"):
        assay("review", "add", IDS[0], label)
    code, out, _ = assay("review", "undo")
    assert (code, out) == (0, f"taken back  fake of ann about image {IDS[0][:16]}\n")
    assert standing_answers(lake).collect()["label"].to_list() == ["real"]
    code, out, _ = assay("review", "undo", IDS[0], "--json")
    assert json.loads(out)["label"] == "real"
    code, _, err = assay("review", "undo")
    assert (code, err.strip()[:34]) == (3, "assay: ann has no answer to take b")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "0 words are given; allowed: IMAGE LABEL"),
        ([IDS[0]], 2, "1 word is given"),
        ([IDS[0], "maybe"], 3, "label 'maybe' is unknown; allowed: real, fake"),
        (["other.jpg", "real"], 3, "has no image of that id or name"),
        ([IDS[0], "real", IDS[0], "fake"], 3, "is given as real and as fake; nothing was"),
        ([IDS[0], "real", "--reason", "hunch"], 3, "reason 'hunch' is unknown; allowed: visible"),
        ([IDS[0], "real", "-r", "a" * 10_000], 3, "10,000 characters; allowed: 1 to 200"),
        ([IDS[0], "real", "-r", "\x1b[2Jann"], 3, r"\x1b[2Jann' has control characters"),
        ([IDS[0], "real", "-r", ""], 3, "name is empty"),
        ([IDS[0], "real", "--note", "x" * 5_001], 3, "5,001 characters; allowed: 5,000"),
    ],
)
def test_a_wrong_answer_is_refused_and_nothing_is_recorded(lake, assay, words, code, said):
    """The exit code is that of usage or of input, with one clear line."""
    ended, _, err = assay("review", "add", *words)
    assert ended == code
    assert said in err
    assert len(err) < 500
    assert "\x1b" not in err
    assert standing_answers(lake).collect().is_empty()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-n", "0"], "0 images are not allowed; allowed: 1 to 1,000"),
        (["--lease", "2d"], "is not allowed; allowed: above 0, at most 86,400"),
        (["--lease", "soon"], "--lease is 'soon'"),
    ],
)
def test_next_refuses_what_is_out_of_range(lake, assay, words, said):
    """With exit code 2."""
    code, _, err = assay("review", "next", *words)
    assert code == 2
    assert said in err


def test_next_writes_image_files_and_says_which_are_damaged(tmp_path, assay):
    """The files are the stored bytes."""
    made = lake_of(tmp_path / "lake", [Shot(name="a", seed=1), Shot(name="b", seed=2)])
    out = tmp_path / "look"
    found = items(assay, "--to", out, "--lake", made.lake.uri, "-r", "ann")["items"]
    assert len(found) == 2
    for item in found:
        assert Path(item["file"]).read_bytes() == made.lake.image(item["image_id"])
        assert item["file"] == str(out / f"{item['image_id'][:16]}.jpeg")
    [shard] = made.lake.store.files("shards")
    Path(made.lake.path(shard.name)).unlink()
    lost = items(assay, "--to", out, "--lake", made.lake.uri, "-r", "ann")["items"]
    assert [item["file"] for item in lost] == [None, None]
    _, text, _ = assay("review", "next", "--to", out, "--lake", made.lake.uri, "-r", "ann")
    assert "its bytes are lost or damaged" in text


def test_a_folder_that_is_a_file_is_refused_before_anything_is_leased(lake, assay, tmp_path):
    """Exit code 2."""
    (tmp_path / "file").write_text("x")
    code, _, err = assay("review", "next", "--to", tmp_path / "file" / "below")
    assert code == 2
    assert f"{tmp_path / 'file'} is a file" in err
    assert lake.store.files("review") == []


def test_a_dry_run_leases_nothing(lake, assay, tmp_path):
    """It counts what would be."""
    code, out, _ = assay("review", "next", "--dry-run", "--json", "--to", tmp_path / "look")
    effects = json.loads(out)
    assert code == 0
    assert [effect["count"] for effect in effects["writes"]] == [4, 4]
    assert lake.store.files("review") == []
    assert not (tmp_path / "look").exists()


def test_the_user_of_the_system_is_the_reviewer_by_default(lake, assay, monkeypatch):
    """Without a name there is one line that says what to do."""
    monkeypatch.delenv("ASSAY_REVIEWER")
    monkeypatch.setattr(getpass, "getuser", lambda: "tom")
    assert items(assay)["reviewer"] == "tom"

    def nobody():
        raise KeyError("uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    code, _, err = assay("review", "next")
    assert (code, err) == (
        3,
        "assay: this user has no name; pass --reviewer NAME, or set ASSAY_REVIEWER\n",
    )


def test_a_lake_that_is_missing_is_not_made(assay, tmp_path):
    """Exit code 4."""
    code, _, err = assay("review", "next", "--lake", tmp_path / "none", "-r", "ann")
    assert code == 4
    assert "there is no lake" in err
    assert not (tmp_path / "none").exists()


def test_second_opinions_go_to_another_reviewer(lake, assay):
    """And are answered like others, as second opinions."""
    assay("review", "add", IDS[0], "real")
    assert items(assay, "--second-opinion")["items"] == []
    [item] = items(assay, "--second-opinion", "-r", "bob")["items"]
    assay("review", "add", item["image_id"], "fake", "-r", "bob")
    rows = standing_answers(Lake(lake.uri)).collect()
    assert dict(rows.select("reviewer", "kind").iter_rows()) == {"ann": "grid", "bob": "second"}
