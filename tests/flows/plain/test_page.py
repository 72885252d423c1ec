"""The Makefile of the page on composing makes a dataset, and only what has changed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import factories
from import_graph import ROOT


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
    page = (ROOT / "docs" / "composing.md").read_text()
    found = re.search(r"<!-- file: Makefile -->\n```text\n(.*?)```", page, re.DOTALL)
    (tmp_path / "Makefile").write_text(found[1])
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(factories.jpeg(seed=1))
    assert [line.split()[1] for line in make(tmp_path).splitlines() if line[:6] == "assay "] == [
        *("ingest", "score", "publish")
    ]
    assert list((tmp_path / "dataset" / "data").iterdir())
    assert "is up to date" in make(tmp_path)
