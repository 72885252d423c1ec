"""What pages show is run: commands and Python of a page in order, in a folder with a small lake.

A block that cannot run here has a comment above it, `<!-- not run: REASON -->`; a block that is a
file for the blocks below it has `<!-- file: NAME -->`.
"""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from factories import encoded, photo, truncated
from import_graph import ROOT

import assay
from assay.flows.cli import main

# One process has the lake, and has loaded what scores and makes images.
pytestmark = pytest.mark.xdist_group("examples")

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
LANGUAGES = {"sh", "python", "toml", "yaml", "text"}
BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>not run|file): (?P<words>[^\n]+?) -->\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
# The session has it installed already.
INSTALLED = "pip install assay-plugin-example"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page, with the comment above it."""

    language: str
    text: str
    mark: str | None
    words: str | None


def blocks(page: Path) -> list[Block]:
    return [
        Block(found["language"], found["text"], found["mark"], found["words"])
        for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def is_run(block: Block) -> bool:
    return block.language in {"sh", "python"} and block.mark != "not run"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Create a reader's folder: four labelled images, a broken one, and the lake of a run."""
    folder = tmp_path_factory.mktemp("example")
    images = folder / "images"
    images.mkdir()
    rows = ["file_name,label"]
    for number, size in enumerate([(480, 448), (448, 480), (160, 128), (128, 160)]):
        raw = encoded(photo(seed=number, size=size), "JPEG", quality=90)
        (images / f"photo-{number}.jpg").write_bytes(raw)
        rows.append(f"photo-{number}.jpg,{'fake' if number == 1 else 'real'}")
    (images / "metadata.csv").write_text("\n".join(rows))
    (images / "cut-off.jpg").write_bytes(truncated((images / "photo-0.jpg").read_bytes()))
    shutil.copytree(ROOT / "examples", folder / "examples")
    assay.moderate(images, lake=folder / "lake", detector="mini", quiet=True)
    return folder


@pytest.fixture
def scratch(example, tmp_path, monkeypatch):
    """Copy the folder for one page, with the embedded detector in the settings."""
    folder = tmp_path / "page"
    shutil.copytree(example, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ASSAY_DETECTOR", "mini")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    return folder


def run_line(line: str) -> None:
    """Run one command of a page in this process; `> FILE` takes what it prints."""
    words = shlex.split(line, comments=True)
    into = words[words.index(">") + 1] if ">" in words else None
    words = words[: words.index(">")] if into else words
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        if words[0] == "assay":
            main(words[1:])
        elif words[0] == "python":
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(sys, "argv", words[1:])
                runpy.run_path(words[1], run_name="__main__")
        else:
            pytest.fail(f"{line}: say above the block why it is not run")
    if into:
        Path(into).write_text(said.getvalue(), encoding="utf-8")


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(map(is_run, blocks(page)))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_what_a_page_shows_runs(page, scratch):
    """A reader who follows a page from its top gets no error."""
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.mark == "file":
            (scratch / str(block.words)).write_text(block.text, encoding="utf-8")
        elif is_run(block) and block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.text, str(page), "exec"), names)
        elif is_run(block):
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.strip() and line.strip() != INSTALLED:
                    run_line(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_says_what_it_is(page):
    """A fence without a language would be run by nobody."""
    text = page.read_text(encoding="utf-8")
    found = blocks(page)
    assert 2 * len(found) == len(re.findall(r"^ *```", text, re.MULTILINE))
    assert {block.language for block in found} <= LANGUAGES
    for block in found:
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "yaml":
            yaml.safe_load(block.text)


def test_most_blocks_are_run():
    """Those that are not are the smaller part, each with its reason."""
    shown = [
        block for page in PAGES for block in blocks(page) if block.language in {"sh", "python"}
    ]
    left_out = [block for block in shown if not is_run(block)]
    assert len(left_out) < len(shown) / 3
    assert all(len(str(block.words).split()) >= 3 for block in left_out)
