"""Hashes of files: those of their bytes, worked out once for each state of a file."""

import hashlib
import os

import pytest

from assay.data import file_hashes
from assay.data.file_hashes import file_sha256, files_sha256


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own, for files of any size."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_hashes, "_KEPT_FROM_BYTES", 0)
    monkeypatch.setattr(file_hashes, "_known", {})


def old(path, content):
    """A file that was written long ago, so that its hash is kept."""
    path.write_bytes(content)
    os.utime(path, (1e9, 1e9))
    return path


def test_a_replaced_file_has_another_hash_though_size_and_time_are_the_same(tmp_path, monkeypatch):
    """Whether the new bytes came by a copy that keeps times or by another name."""
    monkeypatch.setattr(file_hashes, "_SETTLED_AFTER_S", -1.0)
    path = old(tmp_path / "weights", b"one")
    assert file_sha256(path) == hashlib.sha256(b"one").hexdigest()
    old(tmp_path / "new", b"two").replace(path)
    assert file_sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_a_file_of_a_moment_ago_is_read_each_time(tmp_path):
    """Another write within the clock's step would leave the same times."""
    path = tmp_path / "weights"
    for content in (b"one", b"two", b"six"):
        path.write_bytes(content)
        assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_hashes_of_large_files_outlast_the_process(tmp_path, monkeypatch):
    """Kept in the user's cache; a cache that is damaged or cannot be written is done without."""
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
    """Of the files that fit; others do not count."""
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
