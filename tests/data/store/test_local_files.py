"""The file store in a local folder."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assay.data.store.lake import Lake


def test_a_file_is_created_at_most_once(tmp_path: Path) -> None:
    """One of many concurrent creators of a name succeeds, and its bytes stay."""
    store = Lake(tmp_path / "lake").store
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: store.create("mark", b"%d" % n), range(8)))
    assert sum(made) == 1
    assert store.read("mark") == b"%d" % made.index(True)
    assert [file.name for file in store.files()] == ["assay-lake.json", "mark"]


def test_a_system_without_links_keeps_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are created on systems without hard links, such as memory cards."""

    def refuse(*_paths: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    store = Lake(tmp_path / "lake").store
    assert store.create("mark", b"x")
    assert store.read("mark") == b"x"
