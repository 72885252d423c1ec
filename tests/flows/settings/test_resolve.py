"""The first that speaks counts: flag, variable, file, default; and all can see which it was."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from processes import forked_command

import assay
from assay.data.errors import ConfigError
from assay.flows.request import Request
from assay.flows.settings.environment import environment_settings
from assay.flows.settings.resolve import Origin, default_lake, resolve
from assay.flows.settings.settings_file import found_file, read_settings, template
from assay.tasks.decide.policy_file import load_policy


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "assay.toml"
    path.write_text(text)
    return path


def command(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Return the command, isolated from the settings of the user who runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ASSAY_") or k == "ASSAY_CACHE"}
    return forked_command(*arguments, cwd=cwd, env=kept | variables)


def test_the_first_that_speaks_counts(tmp_path: Path) -> None:
    """Each of four settings comes from another place, and the flag wins over all."""
    path = written(tmp_path, '# mine\nviews = "tiles"\ndevice = "cpu"\nbackend = "torch"\n')
    variables = {"ASSAY_DEVICE": "cuda", "ASSAY_BACKEND": "openvino"}
    found = resolve({"backend": "torch-compile"}, environment=variables, folder=tmp_path)
    request, origins = found.request, found.origins
    assert (request.views, request.device, request.backend) == ("tiles", "cuda", "torch-compile")
    assert request.detector == "community-forensics"
    assert origins["views"] == Origin("file", f"{path} line 2")
    assert origins["device"] == Origin("env", "ASSAY_DEVICE")
    assert origins["backend"] == Origin("flag")
    assert origins["detector"] == Origin("default")


def test_paths_in_a_file_start_from_its_folder(tmp_path: Path) -> None:
    """From whatever folder below it the command is started; names and addresses stay."""
    (tmp_path / "weights").mkdir()
    (tmp_path / ".git").mkdir()
    written(tmp_path, 'lake = "lake"\npolicy = "p.toml"\nroots = ["in"]\ndetector = "weights"\n')
    (tmp_path / "deep" / "er").mkdir(parents=True)
    request = resolve({}, environment={}, folder=tmp_path / "deep" / "er").request
    assert request.lake == str(tmp_path / "lake")
    assert request.policy == str(tmp_path / "p.toml")
    assert request.roots == (str(tmp_path / "in"),)
    assert request.detector == str(tmp_path / "weights")
    written(tmp_path, 'lake = "s3://bucket/lake"\ndetector = "mini"\n')
    request = resolve({}, environment={}, folder=tmp_path / "deep").request
    assert (request.lake, request.detector) == ("s3://bucket/lake", "mini")


def test_the_file_is_that_of_the_repository_or_below_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else's file counts: not above the repository, and outside of home none above."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shared = tmp_path / "shared"
    written(shared, 'views = "tiles"\n')
    repository = shared / "repository"
    (repository / ".git").mkdir(parents=True)
    below = repository / "a" / "b"
    below.mkdir(parents=True)
    assert found_file(below, {}) is None
    mine = written(repository, 'views = "adaptive"\n')
    assert found_file(below, {}) == read_settings(mine)
    (shared / "other").mkdir()
    assert found_file(shared / "other", {}) is None
    assert found_file(shared, {}) is not None
    own = written(tmp_path / "home", 'views = "adaptive"\n')
    (tmp_path / "home" / "work").mkdir()
    assert found_file(tmp_path / "home" / "work", {}) == read_settings(own)


def test_another_file_is_named_or_none(tmp_path: Path) -> None:
    """ASSAY_CONFIG, which `--config` sets for one command."""
    written(tmp_path, 'views = "tiles"\n')
    (tmp_path / "other.toml").write_text('views = "adaptive"\n')
    for named, views in (("other.toml", "adaptive"), ("none", "centre"), ("", "tiles")):
        found = resolve({}, environment={"ASSAY_CONFIG": named}, folder=tmp_path)
        assert found.request.views == views
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read .*--config none"):
        resolve({}, environment={"ASSAY_CONFIG": "absent.toml"}, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('\ndetektor = "x"', r"assay\.toml line 2: unknown setting 'detektor'; .*mean detector\?"),
        ('views = "tile"', r"line 1: views is 'tile'; allowed: centre, tiles, adaptive; did you"),
        ("max_bytes = 0", r"line 1: max_bytes is 0; allowed: 1 or more"),
        ('max_bytes = "64"', r"line 1: max_bytes is a str; allowed: a whole number"),
        ("[judging]\nx = 1", r"assay\.toml: unknown setting 'judging'"),
        ('sources = ["a"]', r"line 1: sources are arguments of the command"),
        ("lake =", r"assay\.toml: is not TOML"),
        ('device = "gpu"', r"line 1: device 'gpu' is unknown; allowed: auto, cuda"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    """And with what is allowed."""
    with pytest.raises(ConfigError, match=message):
        read_settings(written(tmp_path, text))


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("ASSAY_INCLUDE", '["a, b", "c"]', ("a, b", "c")),
        ("ASSAY_INCLUDE", "['a', 'b']", ("a", "b")),
        ("ASSAY_INCLUDE", "*.jpg, *.png", ("*.jpg", "*.png")),
        ("ASSAY_INCLUDE", "[ab]*.jpg", ("[ab]*.jpg",)),
        ("ASSAY_INCLUDE", "[]", ()),
        ("ASSAY_FORCE_DRIFT", "Yes", True),
        ("ASSAY_FORCE_DRIFT", "0", False),
        ("ASSAY_MAX_BYTES", "1000", 1000),
        ("ASSAY_FAIL_ON_REJECTED", "0.5", 0.5),
    ],
)
def test_a_variable_is_read_as_its_setting(variable: str, text: str, value: Any) -> None:
    """Lists as TOML or JSON write them, or with commas."""
    assert list(environment_settings({variable: text}).values()) == [value]


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        (
            "ASSAY_FORCE_DRIFT",
            "maybe",
            "ASSAY_FORCE_DRIFT: force_drift is 'maybe'; allowed: true or",
        ),
        ("ASSAY_MAX_BYTES", "1.5", "max_bytes is '1.5'; allowed: a whole number"),
        ("ASSAY_FAIL_ON_REJECTED", "50", "allowed: a share from 0 to 1"),
        ("ASSAY_INCLUDE", '["a"', 'a list is written ["a", "b"], or a,b'),
        ("ASSAY_DETEKTOR", "mini", "not a variable of assay; did you mean ASSAY_DETECTOR"),
        ("ASSAY_DEVICE", "gpu", "ASSAY_DEVICE: device 'gpu' is unknown"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(variable: str, text: str, message: str) -> None:
    """And with what is allowed."""
    with pytest.raises(ConfigError) as refused:
        environment_settings({variable: text})
    assert message in str(refused.value)


def test_other_variables_are_left_alone() -> None:
    """Those of assay that are no settings, those of others, and empty ones."""
    said = {"ASSAY_CACHE": "/c", "ASSAY_DEBUG": "1", "ASSAY_C2PA_KEY": "/k", "ASSAY_XYZZY": "1"}
    assert environment_settings(said | {"ASSAY_DETECTOR": ""}) == {}


def test_python_takes_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`assay.moderate` reads variables and files too; a keyword wins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_LAKE", raising=False)
    written(tmp_path, 'lake = "of the file"\ndetector = "no such detector"\n')
    assert default_lake() == str(tmp_path / "of the file")
    monkeypatch.setenv("ASSAY_LAKE", "of the variable")
    assert default_lake() == "of the variable"
    with pytest.raises(ConfigError, match="unknown setting 'sources'"):
        assay.moderate(sources=["a"])  # type: ignore[call-arg]
    with pytest.raises(assay.data.errors.AssayError, match="no such detector"):
        assay.moderate("pictures", lake=None, quiet=True)


def test_the_file_to_start_from_changes_nothing(tmp_path: Path) -> None:
    """As it is written it gives the defaults; without the hashes it is a file that is taken."""
    text = template()
    assert resolve({}, environment={}, folder=written(tmp_path, text).parent).request == Request()
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    whole = "\n".join(line for line in lines if line.partition(" = ")[0] in Request.model_fields)
    found = read_settings(written(tmp_path, whole))
    assert found.settings.keys() == Request.model_fields.keys() - {"sources"}


@pytest.mark.xdist_group("forked")
def test_init_writes_both_files_once(tmp_path: Path) -> None:
    """A folder that has them is left as it is, unless asked otherwise."""
    done = command("init", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "assay.toml\npolicy.toml\n")
    assert load_policy(tmp_path / "policy.toml") == load_policy()
    (tmp_path / "assay.toml").write_text("mine")
    again = command("init", cwd=tmp_path)
    assert again.returncode == 2
    assert "assay.toml and policy.toml exist already; name another folder" in again.stderr
    assert (tmp_path / "assay.toml").read_text() == "mine"
    assert command("init", "--overwrite", cwd=tmp_path).returncode == 0
    assert (tmp_path / "assay.toml").read_text() == template()
    assert command("init", "new/folder", cwd=tmp_path).returncode == 0
    assert (tmp_path / "new" / "folder" / "policy.toml").is_file()


@pytest.mark.xdist_group("forked")
def test_config_show_tells_values_and_origins(tmp_path: Path) -> None:
    """For people and programs, with flags counted as `moderate` would, and no secret."""
    path = written(tmp_path, '\nviews = "tiles"\nlake = "https://ann:secret@host/lake"\n')
    arguments = ("config", "show", "--backend", "torch")
    done = command(*arguments, "--json", cwd=tmp_path, ASSAY_DETECTOR="mini")
    told = json.loads(done.stdout)
    assert told["file"] == str(path)
    assert told["settings"].keys() == Request.model_fields.keys() - {"sources"}
    origins = {name: (one["value"], one["origin"]) for name, one in told["settings"].items()}
    assert origins["backend"] == ("torch", "flag")
    assert origins["detector"] == ("mini", "env")
    assert origins["views"] == ("tiles", "file")
    assert origins["device"] == ("auto", "default")
    assert told["settings"]["views"]["where"] == f"{path} line 2"
    shown = command(*arguments, cwd=tmp_path, ASSAY_DETECTOR="mini").stdout
    assert f"file {path} line 2" in shown
    assert "env ASSAY_DETECTOR" in shown
    assert "secret" not in shown + done.stdout


@pytest.mark.xdist_group("forked")
@pytest.mark.parametrize("words", [("--config", "b.toml"), ("--config=b.toml",)])
def test_every_command_takes_another_file(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Before or behind its verb."""
    (tmp_path / "b.toml").write_text('views = "adaptive"\n')
    for arguments in ((*words, "config", "show"), ("config", "show", *words)):
        assert '"adaptive"' in command(*arguments, cwd=tmp_path).stdout
    done = command("report", "--config", "absent.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "absent.toml: cannot be read" in done.stderr
    assert command("report", "--config", cwd=tmp_path).returncode == 2


@pytest.mark.xdist_group("forked")
def test_a_whole_number_is_whole(tmp_path: Path) -> None:
    """1.5 bytes are refused, not rounded."""
    done = command("config", "show", "--max-bytes", "1.5", cwd=tmp_path)
    assert done.returncode == 2
    assert "--max-bytes" in done.stderr
