"""`--dry-run` says what would be read and written, and changes nothing on disk."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from ingesting import picture, put
from processes import forked_command

from assay.flows.cli import app
from assay.flows.commands.running.deploy import Target
from assay.flows.dry_run.effects import Effect, Effects

pytestmark = pytest.mark.xdist_group("forked commands")

Tree = dict[str, str]


def tree(folder: Path) -> Tree:
    """Return the hash of every file below a folder, and the name of every folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }


def assay(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a forked process whose home and caches lie below the working folder."""
    home = cwd / "home"
    home.mkdir(exist_ok=True)
    variables = {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("XDG_CACHE_HOME", "ASSAY_CACHE", "HF_HOME", "HF_HUB_CACHE", "PREFECT_HOME"):
        variables[name] = str(home / name.lower())
    return forked_command(*arguments, cwd=cwd, env=os.environ | variables)


def dry(*arguments: object, cwd: Path) -> str:
    """Run a command with `--dry-run` and check that it changes nothing."""
    (cwd / "home").mkdir(exist_ok=True)
    before = tree(cwd)
    done = assay(*arguments, "--dry-run", cwd=cwd)
    assert done.returncode == 0, done.stderr
    after = tree(cwd)
    assert {name: after[name] for name in after.keys() - before.keys()} == {}
    assert after == before
    return done.stdout


def effects(*arguments: object, cwd: Path) -> dict[str, dict[str, int]]:
    """Return the counts of a dry run by their nouns."""
    told: dict[str, Any] = json.loads(dry(*arguments, "--json", cwd=cwd))
    assert told["dry_run"] is True
    return {
        side: {effect["what"]: effect["count"] for effect in told[side]}
        for side in ("reads", "writes")
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled images and a text file, moderated into a lake, and a third that is new."""
    here = tmp_path_factory.mktemp("world")
    names = {"a.png": picture(1), "b.png": picture(2), "c.png": b"text"}
    put(here / "images", names)
    arguments = ("--lake", "lake", "--detector", "mini", "--backend", "torch")
    done = assay("moderate", "images", *arguments, cwd=here)
    assert done.returncode == 0, done.stderr
    put(here / "images", {"d.png": picture(3)})
    return here


def test_a_run_into_a_new_lake(world: Path) -> None:
    """Every item would be read; no lake appears."""
    found = effects("moderate", "images", "--lake", "new", "--detector", "mini", cwd=world)
    assert found["reads"] == {
        "items to read": 4,
        "unchanged items": 0,
        "stored images to score": 0,
    }
    assert found["writes"]["rows of images"] == 4
    assert found["writes"]["report"] == 1
    assert not (world / "new").exists()


def test_a_run_into_a_known_lake(world: Path) -> None:
    """Only the new item would be read, and one score written."""
    found = effects("moderate", "images", "--lake", "lake", "--detector", "mini", cwd=world)
    assert found["reads"] == {
        "items to read": 1,
        "unchanged items": 3,
        "stored images to score": 0,
    }
    assert found["writes"]["rows of scores"] == 1
    assert found["writes"]["rows of decisions"] == 3
    ingested = effects("ingest", "images", "--lake", "lake", cwd=world)
    assert "rows of scores" not in ingested["writes"]


def test_a_score_of_the_lake(world: Path) -> None:
    """A detector that is not on this machine would score all images, and is not downloaded."""
    known = effects("score", "--lake", "lake", "--detector", "mini", cwd=world)
    assert known["reads"] == {"stored images to score": 0}
    other = effects("score", "--lake", "lake", cwd=world)
    assert other["reads"] == {"detector to download": 1, "stored images to score": 2}


def test_a_dry_run_fails_as_the_run_would(world: Path) -> None:
    """With the same exit codes: no source, lake or policy; a folder that is no dataset."""
    before = tree(world)
    for arguments, code in (
        (("moderate", "nowhere", "--lake", "l", "--detector", "mini"), 3),
        (("score", "--lake", "no-lake", "--detector", "mini"), 4),
        (("moderate", "images", "--lake", "l", "--policy", "none.toml"), 2),
        (("publish", "--lake", "lake", "--to", "images", "--overwrite"), 2),
    ):
        assert assay(*arguments, "--dry-run", cwd=world).returncode == code
    assert tree(world) == before


def test_a_plan(world: Path) -> None:
    """Its blocks by name, with the number of their images; no generator is loaded."""
    (world / "plan.toml").write_text(
        '[[make]]\nmethod = "text"\ngenerator = "mini-sd3"\nprompt = ["a", "b"]\ntimes = 3\n'
    )
    arguments = ("synth", "augment", "plan.toml", "--lake", "lake", "--detector", "mini")
    found = effects(*arguments, cwd=world)
    assert found["writes"]["images of text"] == 6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("publish", "--to", "dataset"), "2  images"),
        (("export", "--to", "images.csv"), "2  rows"),
        (("report",), "reports"),
        (("lake", "repair"), "2  images to check"),
        (("lake", "sweep"), ""),
        (("lake", "compact"), "would merge  runs"),
        (("lake", "vacuum"), "would remove  0 table files"),
        (("lake", "restore", "0", "--table", "images"), "images to version 0: 0 rows instead of 2"),
        (("similar", "images/a.png", "--out", "sheet.html"), "sheet.html"),
        (("explain", "images/a.png"), "heat-"),
        (("views", "images/a.png"), "views-"),
        (("patches", "--to", "patches.parquet", "--detector", "mini"), "2  rows"),
        (("models", "quantise", "--detector", "mini"), "quantised network"),
        (("bench", "--drift", "--detector", "mini", "--backend", "torch"), "1  measurements"),
        (("query", "select image_id from images", "--to", "ids.csv"), "2  rows"),
    ],
)
def test_commands_on_a_lake(world: Path, arguments: tuple[str, ...], says: str) -> None:
    """Each names its counts and paths."""
    assert says in dry(*arguments, "--lake", "lake", cwd=world)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("init", "settings"), "settings/assay.toml"),
        (("demo", "--lake", "demo"), "38  test images and files"),
        (("models", "pull", "community-forensics"), "huggingface.co"),
        (("bench", "--detector", "mini", "--backend", "torch"), "1  measurements"),
        (("policy", "schema", "--out", "policy.json"), "1  JSON Schema of policy files"),
        (("synth", "schema", "--out", "plan.json"), "1  JSON Schema of plan files"),
        (("models", "convert", "mini", "--to", "timm", "--out", "converted"), "converted"),
        (("synth", "train-lora", "images", "--base", "mini-sd3", "--out", "lora"), "4  captioned"),
        (
            ("synth", "train-lora", "images", "--base", "m", "--out", "o", "--caption", "a cat"),
            "4  captioned",
        ),
        (("train-mini", "--real", "images", "--out", "trained"), "4  files"),
        (
            ("synth", "train-mini", "images", "--held-out", "images", "--texts", "t", "--out", "g"),
            "checkpoint with card",
        ),
    ],
)
def test_commands_without_a_lake(world: Path, arguments: tuple[str, ...], says: str) -> None:
    """Settings, models and trainings."""
    (world / "t").write_text("a photo\n")
    assert says in dry(*arguments, cwd=world)


def verbs(parent: App) -> Iterator[Callable[..., object]]:
    """Yield the functions of all commands below an app."""
    for name in parent:
        if not name.startswith("-"):
            command = parent[name]
            if command.default_command is not None:
                yield command.default_command
            yield from verbs(command)


def test_every_command_that_names_an_output_has_a_dry_run() -> None:
    """A command with `--to` or `--out` writes there, and says so first if asked."""
    found = {verb: set(inspect.signature(verb).parameters) for verb in verbs(app)}
    # The commands of `deploy` share their target, which has it.
    assert "dry_run" in inspect.signature(Target).parameters
    found = {verb: names for verb, names in found.items() if "target" not in names}
    writing = {verb: names for verb, names in found.items() if names & {"to", "out"}}
    assert len(writing) > 10
    assert [verb for verb, names in writing.items() if "dry_run" not in names] == []


def test_effects_are_lines_of_counts_and_paths() -> None:
    """An upper bound is named as one; a side without effects says so."""
    shown = Effects(writes=[Effect(1200, "rows", "/lake", at_most=True)]).summary().splitlines()
    assert shown[0] == "dry run: nothing is changed"
    assert [" ".join(line.split()) for line in shown[1:]] == [
        "would read nothing",
        "would write",
        "at most 1,200 rows /lake",
    ]
