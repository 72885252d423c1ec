"""What a user installs: one name in site-packages, with every module and every file it reads."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("data", "synth", "tasks", "flows")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """Paths inside a wheel built from a copy of the sources."""
    copy = tmp_path_factory.mktemp("source") / "any-folder-name"
    copy.mkdir()
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, copy / layer, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        *("pyproject.toml", "README.md", "LICENSE", "NOTICE"),
        *("__init__.py", "__main__.py", "py.typed"),
    ):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (copy / "dist").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_adds_the_one_name_assay(names):
    """Nothing named flows, data or tests lands in site-packages."""
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"assay"}


def test_the_wheel_holds_every_module(names):
    """A package missing from the list in pyproject.toml would be missing here."""
    for layer in LAYERS:
        for path in (ROOT / layer).rglob("*.py"):
            assert f"assay/{path.relative_to(ROOT).as_posix()}" in names
    assert "assay/__init__.py" in names


def test_the_wheel_holds_the_files_that_modules_read(names):
    """The policy, the templates of pages and the embedded detector travel with the code."""
    for name in (
        "tasks/decide/policy.toml",
        "tasks/report/report.html.jinja",
        "tasks/report/parts/summary.jinja",
        "tasks/report/grid.css",
        "tasks/report/script/main.js",
        "tasks/pages/script/columns.js",
        "tasks/pages/page.html.jinja",
        "tasks/pages/theme.css",
        "tasks/pages/veil.css",
        "tasks/evasion/evasion.html.jinja",
        "tasks/similar/similar.html.jinja",
        "flows/results/cell.html.jinja",
        "flows/results/grid.html.jinja",
        "tasks/detector/mini/model.safetensors",
        "tasks/detector/mini/config.json",
        "tasks/detector/mini/detector.toml",
        "tasks/detector/mini/README.md",
        "py.typed",
    ):
        assert f"assay/{name}" in names


def test_the_wheel_carries_the_licence_and_the_notice(names):
    """Whoever redistributes it has both at hand."""
    licences = {name.split("/licenses/")[1] for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}
