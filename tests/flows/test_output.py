"""How much the command prints, what it opens in a browser, and how it completes in a shell."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from ingesting import picture, put
from processes import forked_command

from assay.flows.cli import main
from assay.flows.process.verbosity import is_quiet, verbosity

pytestmark = pytest.mark.xdist_group("forked commands")

FOUND = "INFO assay.flows.run: run "


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images, a file that is none, and a CSV with a label that is none."""
    return put(tmp_path / "images", {"a.png": picture(1), "b.png": picture(2), "c.png": b"text"})


def assay(*arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a forked process, without a display."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}
    }
    return forked_command(*arguments, cwd=cwd, env=environment | variables)


def test_json_lines_tell_a_run(images: Path, tmp_path: Path) -> None:
    """Each line of stderr is an object; those of the run name it and give its counts as fields."""
    arguments = ("ingest", images, "--lake", "l", "--json")
    done = assay(*arguments, "--log-format", "json", cwd=tmp_path)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    run_id = json.loads(done.stdout)["run_id"]
    assert {(line["level"], line["run_id"]) for line in lines} == {("INFO", run_id)}
    counts = next(line["fields"] for line in lines if line["message"].startswith("chunk 0"))
    assert (counts["items"], counts["stored"], counts["rejected"]) == (3, 2, 1)
    failed = assay("ingest", "nowhere", cwd=tmp_path, ASSAY_LOG_FORMAT="json")
    (error,) = map(json.loads, failed.stderr.splitlines())
    assert (failed.returncode, error["level"], error["run_id"]) == (3, "ERROR", None)
    assert "nowhere" in error["message"]


def test_quiet_prints_the_paths_in_one_line(images: Path, tmp_path: Path) -> None:
    """Before or behind the verb; they are quoted for a shell, and stderr stays empty."""
    lake = tmp_path / "my lake"
    for arguments in (("-q", "ingest", images), ("ingest", images, "--quiet")):
        done = assay(*arguments, "--lake", lake, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert shlex.split(done.stdout) == [str(lake)]
        assert done.stdout.count("\n") == 1


def test_quiet_leaves_errors_and_json(images: Path, tmp_path: Path) -> None:
    """A program reads the same object; an error keeps its line and its exit code."""
    done = assay("ingest", images, "--lake", "l", "--json", "-q", cwd=tmp_path)
    assert json.loads(done.stdout)["stored"] == 2
    failed = assay("ingest", "nowhere", "--lake", "l", "-q", cwd=tmp_path)
    assert failed.returncode == 3
    assert "nowhere" in failed.stderr


def test_quiet_hides_warnings(tmp_path: Path) -> None:
    """A label that is none is a warning, which the usual output has."""
    put(tmp_path, {"a.png": picture(1)})
    (tmp_path / "list.csv").write_text("image,label\na.png,dog\n")
    arguments = ("ingest", "list.csv", "--label-from", "column:label")
    assert "dog" in assay(*arguments, "--lake", "l", cwd=tmp_path).stderr
    assert assay(*arguments, "--lake", "m", "-q", cwd=tmp_path).stderr == ""


def test_verbose_adds_log_lines(images: Path, tmp_path: Path) -> None:
    """The run, its chunks and the origin of settings, on stderr alone."""
    usual = assay("ingest", images, "--lake", "l", cwd=tmp_path)
    assert FOUND not in usual.stderr
    done = assay("ingest", images, "--lake", "m", "-v", cwd=tmp_path)
    assert FOUND in done.stderr
    assert "INFO assay.flows.run_state: chunk 0: 3 items, 2 stored, 1 rejected;" in done.stderr
    assert "setting lake is set by flag" in done.stderr
    assert "DEBUG" not in done.stdout


def test_verbose_and_quiet_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, whichever comes first."""
    for flags in (["-v", "-q"], ["--quiet", "--verbose"]):
        with pytest.raises(SystemExit) as stopped:
            main(["models", "list", *flags])
        assert stopped.value.code == 2
        assert "exclude each other" in capsys.readouterr().err


def test_the_amount_of_output_ends_with_the_command() -> None:
    """A program that calls the command is as loud as before."""
    with verbosity(verbose=False, quiet=True):
        assert is_quiet()
    assert not is_quiet()


def test_every_verb_shows_the_global_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Verbs of groups as well; and none has an option of that name itself."""
    for words in (["moderate"], ["lake", "sweep"], ["synth", "train-lora"], ["models", "pull"]):
        main([*words, "--help"])
        shown = capsys.readouterr().out
        for option in ("--verbose", "--quiet", "--config", "--debug"):
            assert shown.count(option) == 1, (words, option)


@pytest.fixture
def browser(tmp_path: Path) -> dict[str, str]:
    """Create a browser that records the address it is asked to show."""
    script = tmp_path / "browser.sh"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > "{tmp_path}/shown"\n')
    script.chmod(0o700)
    return {"BROWSER": str(script)}


def test_open_shows_the_report_in_the_browser(
    images: Path, tmp_path: Path, browser: dict[str, str]
) -> None:
    """The page that the run has written, as a file URL."""
    arguments = ("moderate", images, "--lake", "l", "--detector", "mini", "--json", "--open")
    done = assay(*arguments, cwd=tmp_path, **browser)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / json.loads(done.stdout)["report"]).absolute()
    assert (tmp_path / "shown").read_text() == page.as_uri()


def test_without_a_display_the_path_is_printed(images: Path, tmp_path: Path) -> None:
    """On stderr, with exit code 0; no text browser takes the terminal."""
    assert assay("ingest", images, "--lake", "l", cwd=tmp_path).returncode == 0
    assay("score", "--lake", "l", "--detector", "mini", cwd=tmp_path)
    done = assay("report", "--lake", "l", "--out", "page.html", "--open", cwd=tmp_path)
    assert done.returncode == 0
    assert "no browser can be opened; the page is" in done.stderr
    assert "page.html" in done.stderr


def test_completion_is_installed_for_a_shell(tmp_path: Path) -> None:
    """A script that names the verbs, below the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    done = assay("--install-completion", cwd=tmp_path, HOME=str(home), SHELL="/bin/bash")
    assert done.returncode == 0, done.stderr
    scripts = [
        file for file in home.rglob("*") if file.is_file() and "moderate" in file.read_text()
    ]
    assert scripts, done.stdout
