"""A list of sources stands for its files: same names, labels and fingerprints as the files'."""

from __future__ import annotations

import json
from pathlib import Path

import factories
import pytest

from assay.data.errors import UnreadableImage
from assay.data.sources.find import Item, SourceOptions, find_items, kind_of, read_item
from assay.data.sources.source_list import SUFFIX, read_source_list, source_list
from assay.data.vocabulary import Reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a folder of images with odd names, labels beside them and a table of images."""
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    for seed, name in enumerate(("a b.png", "{{ 7 * 7 }}.png", "sub/line\nbreak.png", "c.png")):
        (root / name).write_bytes(factories.png(seed=seed, size=(8, 8)))
    (root / "c.json").write_text('{"label": "fake"}')
    (root / "broken.zip").write_bytes(b"PK")
    return root


def listing(folder: Path, *sources: str) -> Path:
    path = folder / f"new{SUFFIX}"
    path.write_bytes(source_list(sources))
    return path


def items(source: Path, **options: object) -> list[Item]:
    return list(find_items([str(source)], SourceOptions(**options)))  # type: ignore[arg-type]


def test_the_items_are_those_of_the_files(folder: Path, tmp_path: Path) -> None:
    """With the names under which a run over the folder knows them, and their labels."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    listed = listing(tmp_path, *(path.as_uri() for path in paths))
    assert kind_of(str(listed)) == "source-list"
    found = {item.source_uri: item for item in items(listed)}
    whole = {item.source_uri: item for item in items(folder)}
    assert found.keys() == whole.keys()
    for uri, item in found.items():
        assert (item.fingerprint, item.label) == (whole[uri].fingerprint, whole[uri].label)
    assert [item.label for item in found.values() if item.label] == ["fake"]
    some = listing(tmp_path, paths[0].as_uri())
    assert [item.source_uri for item in items(some)] == [paths[0].as_uri()]


def test_what_is_no_source_is_an_item_with_a_reason(folder: Path, tmp_path: Path) -> None:
    """A missing file, a line that is no text, a list in a list and an unknown scheme."""
    gone = (folder / "gone.png").as_uri()
    listed = listing(tmp_path, gone, f"file:///x{SUFFIX}", "ftp://host/a.png")
    listed.write_bytes(listed.read_bytes() + b"{}\n\n" + b'"' + b"x" * 100_000 + b'"\n')
    problems = [item.problem for item in items(listed)]
    reasons = [problem[0] for problem in problems if problem is not None]
    assert reasons == [Reason.NOT_FOUND, *[Reason.BAD_ROW] * 4]
    assert json.loads(source_list(["a\nb"])) == "a\nb"
    assert list(read_source_list(str(listed)))[1:] == [None, "ftp://host/a.png", None, None]


def test_a_list_names_no_file_outside_the_roots_or_in_a_lake(folder: Path, tmp_path: Path) -> None:
    """Checked when the list is read and again when the file is."""
    outside = tmp_path / "secret.png"
    outside.write_bytes(factories.png(seed=9))
    (folder / "assay-lake.json").write_text("{}")
    listed = listing(tmp_path, outside.as_uri(), (folder / "c.png").as_uri())
    first, second = items(listed, roots=(str(folder),))
    assert first.problem is not None
    assert second.problem is not None
    assert (first.problem[0], second.problem[0]) == (Reason.UNSAFE_PATH, Reason.NOT_AN_IMAGE)
    (folder / "assay-lake.json").unlink()
    _, second = items(listed, roots=(str(folder),))
    options = SourceOptions(roots=(str(folder),))
    assert read_item(second, options)
    (folder / "c.png").unlink()
    (folder / "c.png").symlink_to(outside)
    with pytest.raises(UnreadableImage) as caught:
        read_item(second, options)
    assert caught.value.reason == Reason.UNSAFE_PATH
