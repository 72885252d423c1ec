"""Commands that assay prints do what they say when they are pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from drawn_requests import other_value

from assay.data.commands import command
from assay.data.errors import ModelError
from assay.data.store.damage import advice
from assay.data.store.lake import Lake
from assay.flows.cli import app
from assay.flows.commands.options import request_of
from assay.flows.request import Request
from assay.tasks.command_line import score_again
from assay.tasks.detector.inputs.profiles import profile_for
from assay.tasks.detector.weights.int8_store import find_quantised


def asked_by(text: str) -> Request:
    """Return the request that a pasted command makes."""
    words = shlex.split(text)
    assert words[0] == "assay"
    _, bound, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    parts = (bound.arguments.get(name) for name in ("run", "reading", "judging"))
    return request_of(bound.arguments["sources"], *parts)


def test_the_command_of_a_run_asks_for_the_same_again(tmp_path: Path) -> None:
    """The command has every option of the run, absolute paths and correct quotes."""
    settings = {
        name: other_value(name) for name in Request.model_fields if name not in {"lake", "sources"}
    }
    policy = tmp_path / "my policy.toml"
    request = Request(
        lake=str(tmp_path / "my lake"),
        sources=(str(tmp_path / "it's"), "https://a.example/x.jpg"),
        **settings | {"policy": policy, "roots": (str(tmp_path),)},
    )
    again = request.command("moderate", lake=request.lake)
    assert again is not None
    assert asked_by(again) == request


def test_a_relative_source_is_named_absolutely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command works in another folder."""
    monkeypatch.chdir(tmp_path)
    request = Request(lake="lake", sources=("pics", "file:///a/b"), detector="mini")
    assert request.command("moderate", lake="/lake") == (
        f"assay moderate {tmp_path}/pics file:///a/b --detector mini --lake /lake"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:secret@a.example/x.jpg",
        "https://a.example/x.jpg?token=secret",
        "s3://k:s@b/x",
        "https://a.example/?t=***#q=00",
    ],
)
def test_no_command_repeats_a_secret(url: str) -> None:
    """A run over a URL with a secret has no command that repeats it."""
    assert Request(lake="l", sources=("pics", url)).command("moderate", lake="l") is None


def test_options_are_given_as_a_shell_reads_them() -> None:
    """Empty values are left out, True is a bare flag, several values repeat their option."""
    text = command(
        "publish", to="a b", overwrite=True, only=None, x=False, name=("p", "q"), lake="/l"
    )
    assert text == "assay publish --to 'a b' --overwrite --name p --name q --lake /l"


@pytest.mark.parametrize(
    ("detector_id", "precision", "options"),
    [
        ("mini@e4cd87900624", "fp32", "--detector mini"),
        ("mini@e4cd87900624", "int8@f26a", "--detector mini --precision int8"),
        ("org/name@0123", "fp32", "--detector org/name@0123"),
        ("mine@0123", "fp32", "--detector FOLDER"),
    ],
)
def test_a_detector_is_asked_for_as_it_can_be(
    detector_id: str, precision: str, options: str
) -> None:
    """A detector is named by its registered name, its hub id, or a placeholder for a folder."""
    assert score_again("/l", detector_id, precision) == f"assay score {options} --lake /l"


def test_missing_int8_weights_are_made_by_a_command_for_this_detector(tmp_path: Path) -> None:
    """The command names the requested detector and preprocessing."""
    with pytest.raises(ModelError, match="quantise --detector 'my mini' --profile hf-clip --lake"):
        find_quantised("0" * 64, profile_for("hf-clip", 384), detector="my mini")


def test_advice_for_a_damaged_lake_is_a_command_that_a_shell_takes(tmp_path: Path) -> None:
    """The command is quoted if the lake's address has a blank or a quote in it."""
    lake = Lake(tmp_path / "it's my lake")
    said = advice(lake.store)
    words = shlex.split(said[said.index("assay ") :])
    assert words == ["assay", "lake", "check", "--lake", lake.uri]
