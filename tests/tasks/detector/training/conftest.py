"""Fixtures of the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_images import hash_of, photo


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Return two folders of photos and two of fakes with eight images each, and a manifest."""
    rows = ["path\tgenerator"]
    for kind, source in (("real", "a"), ("real", "b"), ("fake", "x"), ("fake", "y")):
        folder = tmp_path / kind / source
        folder.mkdir(parents=True)
        for index in range(8):
            name = f"{index}.png"
            photo(hash_of(source, index), is_fake=kind == "fake").save(folder / name)
            if source == "y":
                rows.append(f"{kind}/{source}/{name}\ty-{index % 2}")
    (tmp_path / "real" / "a" / "notes.txt").write_text("not a picture")
    (tmp_path / "manifest.tsv").write_text("\n".join(rows))
    return tmp_path
