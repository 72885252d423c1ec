"""Hashes of files, computed once per state of a file."""

import hashlib
import os

import pytest

from assay.data import file_hashes
from assay.data.file_hashes import file_sha256, files_sha256


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Use an empty cache folder, and cache files of any size."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_hashes, "_KEPT_FROM_BYTES", 0)
    monkeypatch.setattr(file_hashes, "_known", {})


def old(path, content):
    """Create a file with an old modification time, so that its hash is cached."""
    path.write_bytes(content)
    os.utime(path, (1e9, 1e9))
    return path


def test_a_replaced_file_has_another_hash_though_size_and_time_are_the_same(tmp_path, monkeypatch):
    """A file replaced with the same size and time, by copy or rename, is hashed again."""
    monkeypatch.setattr(file_hashes, "_SETTLED_AFTER_S", -1.0)
    path = old(tmp_path / "weights", b"one")
    assert file_sha256(path) == hashlib.sha256(b"one").hexdigest()
    old(tmp_path / "new", b"two").replace(path)
    assert file_sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_a_file_of_a_moment_ago_is_read_each_time(tmp_path):
    """A file written less than 3 s ago is hashed on every call."""
    path = tmp_path / "weights"
    for content in (b"one", b"two", b"six"):
        path.write_bytes(content)
        assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_hashes_of_large_files_outlast_the_process(tmp_path, monkeypatch):
    """Hashes are stored in the user's cache; a damaged or read-only cache is ignored."""
    monkeypatch.setattr(file_hashes, "_SETTLED_AFTER_S", -1.0)
    path = old(tmp_path / "weights", b"one")
    digest = file_sha256(path)
    read = []
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: read.append(1) or hashlib.sha256(b"x"))
    monkeypatch.setattr(file_hashes, "_known", {})
    assert file_sha256(path) == digest
    assert not read
    (tmp_path / "cache" / "file_hashes.json").write_text("[")
    monkeypatch.setattr(file_hashes, "_known", {})
    file_sha256(path)
    assert read


def test_a_folder_is_known_by_names_and_bytes(tmp_path):
    """The hash of a folder covers names and bytes of the matching files only."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.json").write_text("1")
    (folder / "README.md").write_text("1")
    first = files_sha256(folder, ["*.json"])
    (folder / "README.md").write_text("2")
    assert files_sha256(folder, ["*.json"]) == first
    (folder / "a.json").rename(folder / "b.json")
    second = files_sha256(folder, ["*.json"])
    (folder / "b.json").write_text("2")
    assert len({first, second, files_sha256(folder, ["*.json"])}) == 3
