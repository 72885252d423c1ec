"""What pages say of the tree is true: folders are named, paths exist."""

import re

import pytest
from import_graph import ROOT, folders

ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOP = ("data", "synth", "tasks", "flows", "docs", "tests", "benchmarks")


def drawn_tree():
    """Folders and files of the drawn tree, as paths: two spaces of indent are one level."""
    block = ARCHITECTURE.read_text().split("```")[1].strip("\n")
    above: list[str] = []
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name.rstrip("/")]
        yield "/".join(above)


def named_paths(page):
    """Paths of the repository in code, and links to files."""
    text = page.read_text()
    for path in re.findall(r"`([\w./-]+)`", text):
        if "/" in path and path.split("/")[0] in TOP:
            yield ROOT / path
    for path in re.findall(r"\]\((?!https?:)([\w./-]+)", text):
        yield page.parent / path


def test_the_drawn_tree_names_every_folder_of_the_package():
    """One line for each folder, and no line for a folder that is gone."""
    drawn = list(drawn_tree())
    assert set(folders()) <= set(drawn)
    assert [path for path in drawn if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_on_a_page_exists(page):
    """Files move; a page that names them moves with them."""
    assert [str(path) for path in named_paths(page) if not path.exists()] == []


def test_paths_are_found():
    """The page on architecture names far more than fifty."""
    assert len(list(named_paths(ARCHITECTURE))) > 50
