"""The package in tests/plugin, installed once per session as a user would install it."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from assay.data import plugins

PROJECT = Path(__file__).resolve().parent.parent / "plugin"


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the package into a folder on the path of this process and of those it starts."""
    place = _installed(tmp_path_factory)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(place), before)))
    sys.path.insert(0, str(place))
    _look_again()
    yield place
    sys.path.remove(str(place))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
    _look_again()


def install(project: Path, place: Path) -> None:
    """Install a package from its folder, without dependencies and without network access."""
    # Builds write beside the sources.
    copy = place.with_name(f"{place.name}-sources")
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg*"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command += ["--target", str(place), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the installed package, shared by the workers of a session."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    place = base / "assay-plugin-example"
    with FileLock(base / "assay-plugin-example.lock"):
        if not place.exists():
            install(PROJECT, place)
    return place


def _look_again() -> None:
    importlib.invalidate_caches()
    plugins.forget()
