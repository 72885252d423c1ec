"""The notebooks of `examples`: they run offline, and are kept without outputs."""

from __future__ import annotations

import re

import nbformat
import pytest
from import_graph import ROOT
from nbclient import NotebookClient

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def ids(path) -> str:
    return path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_a_notebook_is_kept_without_outputs(path):
    """Outputs would be of one machine, and a change of a word would change pictures."""
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in book.cells] == [f"cell-{n:02d}" for n in range(len(book.cells))]
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_a_notebook_names_no_other_host_and_no_real_weights(path):
    """It runs on a machine without a network: the embedded models, and photos of scikit-learn."""
    code = "\n".join(
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    )
    assert re.findall(r"https?://|s3://|hf://", code) == []
    assert set(re.findall(r"detector[= ]\"?([\w.-]+)", code)) == {"mini"}
    assert set(re.findall(r"(?:generator|autoencoder) = \"([\w.-]+)\"", code)) <= {"mini-sd3"}


def test_there_are_four_notebooks_and_the_readme_names_them():
    """A reader finds each from the list of examples."""
    readme = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 4
    assert all(f"({path.name})" in readme for path in NOTEBOOKS)


@pytest.mark.slow
def test_the_first_notebook_runs_in_a_kernel(tmp_path, monkeypatch):
    """Every cell, in order, in a folder of its own; `make test-browser` runs all in JupyterLab."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = nbformat.read(ROOT / "examples" / "first_look.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, timeout=120, kernel_name="python3", resources=resources).execute()
    shown = [
        kind
        for cell in book.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    ]
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert shown.count("text/html") >= 4
