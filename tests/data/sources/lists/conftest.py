"""What the tests of lists share."""

from __future__ import annotations

from pathlib import Path

import pytest
from listed_pictures import PICTURES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create six images, `pics/0.jpg` to `pics/5.jpg`."""
    (tmp_path / "pics").mkdir()
    for number, raw in enumerate(PICTURES):
        (tmp_path / "pics" / f"{number}.jpg").write_bytes(raw)
    return tmp_path
