"""A SOURCE has one scheme and one absolute path."""

import os
from pathlib import Path

import pytest

from assay.data.source_paths import absolute_source, path_of, scheme_of
from assay.data.sources.find import SourceOptions, find_items
from assay.tasks.batches import batch_id_of


@pytest.mark.parametrize(
    ("source", "scheme"),
    [
        ("HTTPS://a.example/x", "https"),
        ("example://10", "example"),
        ("git+ssh://x", "git+ssh"),
        ("file:///a", "file"),
        ("a/b", ""),
        ("/a/http://b", ""),
        ("1://x", ""),
        ("c:\\x", ""),
    ],
)
def test_a_scheme_stands_at_the_beginning(source, scheme):
    """A scheme is returned in lower case; text that is not a scheme by RFC 3986 is a path."""
    assert scheme_of(source) == scheme


def test_paths_and_file_uris_mean_the_same_file(tmp_path, monkeypatch):
    """Home folders and dots are resolved, escapes decoded by byte; links stay."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    odd = os.fsdecode(b"caf\xe9 %")
    for source in (odd, f"./x/../{odd}", f"~/{odd}", (tmp_path / odd).as_uri()):
        assert path_of(source) == str(tmp_path / odd)
    assert path_of("file://localhost/a") == "/a"
    assert path_of("example://10") is None
    assert path_of("file://") == ""


def test_a_source_is_absolute_unless_it_has_a_scheme(tmp_path, monkeypatch):
    """URLs, also of files, are returned unchanged."""
    monkeypatch.chdir(tmp_path)
    assert absolute_source("x") == str(tmp_path / "x")
    for source in ("file:///a%20b", "example://10", "https://a.example/x"):
        assert absolute_source(source) == source


def test_a_folder_is_one_batch_by_path_and_by_uri(tmp_path: Path):
    """A folder is one batch by its path and by its URI."""
    folder = tmp_path / "a b%"
    folder.mkdir()
    (folder / "x.jpg").write_bytes(b"x")
    options = SourceOptions()
    by_path, by_uri = str(folder), folder.as_uri()
    assert list(find_items([by_path], options)) == list(find_items([by_uri], options))
    assert batch_id_of([by_path], options) == batch_id_of([by_uri], options)
