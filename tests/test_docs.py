"""The page on architecture tells the truth about the tree."""

import re

from import_graph import ROOT, folders

PAGE = ROOT / "docs" / "architecture.md"
TOP = ("data", "synth", "tasks", "flows", "docs", "tests", "benchmarks")


def drawn_tree():
    """Folders and files of the drawn tree, as paths: two spaces of indent are one level."""
    block = PAGE.read_text().split("```")[1].strip("\n")
    above: list[str] = []
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name.rstrip("/")]
        yield "/".join(above)


def named_paths():
    """Paths in code and links outside the drawn tree, with a part of them below the root."""
    text = PAGE.read_text()
    for path in re.findall(r"`([\w./-]+)`", text):
        if path.split("/")[0] in TOP and ("/" in path):
            yield ROOT / path
    for path in re.findall(r"\]\(([\w./-]+)\)", text):
        yield PAGE.parent / path


def test_the_drawn_tree_names_every_folder_of_the_package():
    """One line for each folder, and no line for a folder that is gone."""
    drawn = list(drawn_tree())
    assert set(folders()) <= set(drawn)
    assert [path for path in drawn if not (ROOT / path).exists()] == []


def test_every_path_on_the_page_exists():
    """Files move; a page that names them moves with them."""
    paths = list(named_paths())
    assert len(paths) > 50
    assert [str(path) for path in paths if not path.exists()] == []
