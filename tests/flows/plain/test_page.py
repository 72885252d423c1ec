"""The files of the page on composing work: a Makefile, and a Prefect flow."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import factories
from import_graph import ROOT


def file_of_page(name: str) -> str:
    page = (ROOT / "docs" / "composing.md").read_text()
    return re.search(rf"<!-- file: {name} -->\n```\w+\n(.*?)```", page, re.DOTALL)[1]


def make(folder: Path) -> str:
    scripts = Path(sys.executable).parent
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["make"],
        env={**os.environ, "ASSAY_DETECTOR": "mini", "ASSAY_BACKEND": "torch", "PATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_makefile_of_the_page_makes_a_dataset(tmp_path):
    """Images become a dataset by three commands; a second call has nothing to do."""
    (tmp_path / "Makefile").write_text(file_of_page("Makefile"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(factories.jpeg(seed=1))
    assert [line.split()[1] for line in make(tmp_path).splitlines() if line[:6] == "assay "] == [
        *("ingest", "score", "publish")
    ]
    assert list((tmp_path / "dataset" / "data").iterdir())
    assert "is up to date" in make(tmp_path)


def test_the_flow_of_the_page_is_one(tmp_path):
    """Prefect takes it as it stands, with parameters that a form can show."""
    (tmp_path / "my_flow.py").write_text(file_of_page("my_flow.py"))
    flow = runpy.run_path(str(tmp_path / "my_flow.py"))["my_flow"]
    assert list(flow.parameters.properties) == ["folder", "lake", "out"]
