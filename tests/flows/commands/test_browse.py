"""The verbs that look through a lake, as a person and a program see them."""

import json

import lakes
import pytest
from lakes import Shot

from assay.data.store.lake import Lake
from assay.flows.cli import main


def run(capsys, *arguments):
    """Exit code, stdout and stderr of a command."""
    try:
        main(arguments)
        code = 0
    except SystemExit as left:
        code = left.code or 0
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three images and one rejected item."""
    return lakes.lake_of(
        tmp_path_factory.mktemp("browse") / "lake",
        [
            Shot(name="a.jpg", prob=0.05, seed=1, label="real"),
            Shot(name="b.jpg", prob=0.9, seed=2, domain="art"),
            Shot(name="=c.jpg", prob=0.99, seed=3),
        ],
        rejected=[("d.jpg", "truncated", "cut")],
    )


def test_runs_are_listed(made, capsys):
    """A line for a person; one object for a program."""
    code, out, err = run(capsys, "runs", "--lake", made.lake.uri)
    assert (code, err) == (0, "")
    assert out.splitlines()[1].startswith(f"{made.run_id}  2026-03-01 12:00  moderate  completed")
    assert out.splitlines()[-1] == "1 run"
    told = json.loads(run(capsys, "runs", "--lake", made.lake.uri, "--json")[1])
    assert (told["total"], told["runs"][0]["images"], told["runs"][0]["rejected"]) == (1, 3, 1)


def test_images_are_listed(made, capsys):
    """Options that may be repeated, a range, an order and a limit."""
    lake = ("--lake", made.lake.uri)
    told = json.loads(
        run(capsys, "ls", *lake, "--decision", "flag", "--decision", "clear", "--json")[1]
    )
    assert told["total"] == 3
    chosen = ("--score", "0.5..", "--sort", "score", "--limit", "1")
    told = json.loads(run(capsys, "ls", *lake, *chosen, "--json")[1])
    assert (told["total"], [row["image_id"] for row in told["images"]]) == (
        2,
        [made.ids["=c.jpg"]],
    )
    out = run(capsys, "ls", *lake, "--domain", "art", "--run", "latest")[1]
    assert out.splitlines()[1].split()[0] == made.ids["b.jpg"][:12]
    assert out.splitlines()[2] == "1 image"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ls", "--limit", "0"], 2, "Must be >= 1"),
        (["ls", "--decision", "flagged"], 2, "flagged"),
        (["ls", "--reason", "not_score"], 2, "did you mean not_scored?"),
        (["ls", "--score", "high"], 2, "allowed: a range within 0 and 1"),
        (["ls", "--since", "monday"], 2, "allowed: a span such as 7d, or a date"),
        (["ls", "--run", "nope"], 3, "no run nope in"),
        (["runs", "--limit", "none"], 2, "none"),
    ],
)
def test_bad_options_are_refused(made, capsys, arguments, code, says):
    """Each with the exit code of its kind, and nothing on stdout."""
    got, out, err = run(capsys, *arguments, "--lake", made.lake.uri)
    assert (got, out) == (code, "")
    assert says in err
    assert "Traceback" not in err


@pytest.mark.parametrize("verb", ["ls", "runs"])
def test_an_empty_lake_says_what_to_do_next(tmp_path, capsys, verb):
    """A command that can be pasted; for a program, a total of none."""
    lake = Lake(tmp_path / "lake")
    code, out, _ = run(capsys, verb, "--lake", lake.uri)
    assert code == 0
    assert out.splitlines()[-1] == f"  assay moderate SOURCE --lake {lake.uri}"
    assert json.loads(run(capsys, verb, "--lake", lake.uri, "--json")[1])["total"] == 0


def test_a_lake_that_is_not_there_is_an_error(tmp_path, capsys):
    """With the exit code of the store."""
    code, _, err = run(capsys, "ls", "--lake", str(tmp_path / "none"))
    assert code == 4
    assert "there is no lake at" in err


@pytest.mark.parametrize("verb", ["show", "explain", "similar", "views"])
def test_every_verb_about_one_image_takes_the_same_names(made, capsys, verb, tmp_path, monkeypatch):
    """What no image is called is refused alike, with the command that lists them."""
    monkeypatch.chdir(tmp_path)
    name = ["cow.jpg", "--detector", "mini"] if verb in {"explain", "views"} else ["cow.jpg"]
    code, out, err = run(capsys, verb, *name, "--lake", made.lake.uri)
    assert (code, out) == (3, "")
    assert "has no image of that id or name" in err
    assert f"with: assay ls --lake {made.lake.uri}" in err


@pytest.mark.parametrize("name", ["b.jpg", "file:///pictures/b.jpg", "{id}", "{file}"])
def test_an_image_is_shown_by_any_name(made, capsys, tmp_path, name):
    """Its path, its URI, its id, or a file with its bytes."""
    file = tmp_path / "x"
    file.write_bytes(made.lake.image(made.ids["b.jpg"]))
    filled = name.format(id=made.ids["b.jpg"][:8], file=file)
    code, out, err = run(capsys, "show", filled, "--lake", made.lake.uri)
    assert (code, err) == (0, "")
    assert out.startswith(f"image {made.ids['b.jpg']}\n")
