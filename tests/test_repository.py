"""Files beside the package hold together: they parse, and what they name exists."""

import os
import re
import shlex
import subprocess
import tomllib

import pytest
import yaml
from docker.utils.build import exclude_paths
from import_graph import ROOT

from assay.version import __version__

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = [ROOT / ".github" / "ISSUE_TEMPLATE" / name for name in ("bug.yml", "feature.yml")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
TEXTS = [ROOT / "CONTRIBUTING.md", ROOT / ".ci" / "run", ROOT / "Dockerfile", *WORKFLOWS]


def read_yaml(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in read_yaml(workflow)["jobs"].values() for step in job["steps"]]


def context():
    """Files that a build of the image gets to see, by Docker's own reading of .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    return {path for path in exclude_paths(str(ROOT), patterns) if (ROOT / path).is_file()}


def test_the_citation_is_that_of_this_version():
    """Whoever cites assay cites the version at hand; a release changes both files."""
    citation = read_yaml(ROOT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "message", "authors", "license"} <= set(citation)
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_make_target_that_is_named_exists(path):
    """Commands are lines of scripts and pages, or `run` of a workflow."""
    named = re.findall(r"(?:^|`|run: )\s*make (?:\S+=\S+ )*([a-z]+)", path.read_text(), re.M)
    assert set(named) <= TARGETS


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_script_that_is_named_exists(path):
    """A script is started by its path, so it is executable."""
    for name in re.findall(r"(?:docker|\.ci)/[a-z]+(?:\.sh)?\b", path.read_text()):
        assert (ROOT / name).stat().st_mode & 0o111, name


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_runs_pinned_actions(workflow):
    """A tag of an action can be moved to other code; a commit cannot."""
    assert read_yaml(workflow)["permissions"] == {"contents": "read"}
    actions = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert actions
    assert [name for name in actions if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name)] == []


def test_the_check_runs_on_every_supported_python():
    """What the classifiers say is checked, from the oldest that the package allows."""
    job = read_yaml(ROOT / ".github" / "workflows" / "check.yml")["jobs"]["check"]
    pythons = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert job["strategy"]["matrix"]["python"] == pythons
    assert PROJECT["requires-python"] == f">={pythons[0]}"
    assert job["env"]["PYTHON"] == "python${{ matrix.python }}"
    assert job["steps"][-1] == {"run": ".ci/run"}


def test_a_release_keeps_what_it_builds():
    """Wheel and site are taken from where make leaves them."""
    build = steps(ROOT / ".github" / "workflows" / "release.yml")
    assert {"make wheel", "make docs"} <= {step.get("run") for step in build}
    kept = [step["with"]["path"] for step in build if "upload-artifact" in step.get("uses", "")]
    assert kept == ["dist/", "site/"]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_the_output_of_doctor(form):
    """Every field has a label and an id of its own; doctor says which assay on which machine."""
    fields = [field for field in read_yaml(form)["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert "Output of `assay doctor`" in [field["attributes"]["label"] for field in fields]


def test_hooks_run_the_pinned_ruff_and_download_nothing():
    """Each is a command of the project's environment, in the constraints of which ruff stands."""
    (repository,) = read_yaml(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert shlex.split(hook["entry"])[0] == ".venv/bin/ruff"
    assert re.search(r"^ruff==", (ROOT / "constraints.txt").read_text(), re.M)


def test_the_image_is_built_from_what_the_wheel_needs():
    """Modules, files beside them, metadata, pins and the script; no tests, no environments."""
    seen = context()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package in config["packages"]:
        folder = package.removeprefix("assay").lstrip(".").replace(".", "/")
        for pattern in ["*.py", *config["package-data"].get(package, [])]:
            for path in (ROOT / folder).glob(pattern):
                assert path.relative_to(ROOT).as_posix() in seen
    assert {"pyproject.toml", PROJECT["readme"], "constraints.txt", "docker/install.sh"} <= seen
    assert (
        set(re.findall(r"^COPY --chmod=755 (\S+)", (ROOT / "Dockerfile").read_text(), re.M)) <= seen
    )
    for pattern in PROJECT.get("license-files", []):
        assert {path.name for path in ROOT.glob(pattern)} <= seen
    assert not [path for path in seen if path.startswith(("tests", "docs", ".venv", ".git"))]


def test_the_image_runs_as_no_root_and_keeps_its_lake_in_a_volume():
    """The user is a number, which other hosts can check, and the lake lies below the volume."""
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]\d+$", text, re.M)
    volume = re.search(r'^VOLUME \["(.+)"\]$', text, re.M)[1]
    assert re.search(r"ASSAY_LAKE=(\S+)", text)[1].startswith(f"{volume}/")
    assert text.rstrip().endswith('ENTRYPOINT ["assay-entrypoint"]')


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["moderate", "/images"], "assay moderate /images"),
        ([], "assay"),
        (["prefect", "flow-run", "execute"], "prefect flow-run execute"),
    ],
)
def test_the_image_runs_verbs_of_assay_and_the_jobs_of_workers(tmp_path, words, command):
    """A worker gives the image a command of Prefect as its arguments, not as its entrypoint."""
    for name in ("assay", "prefect"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [ROOT / "docker" / "entrypoint.sh", *words],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == command


def test_an_install_leaves_a_folder_with_files_alone(tmp_path):
    """The prefix is refused by name before anything is written to it."""
    (tmp_path / "mine.txt").write_text("kept")
    command = [ROOT / "docker" / "install.sh", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"{tmp_path} is not empty; name a new folder\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
