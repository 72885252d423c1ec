"""What the tests of the lake share."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.data.store.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")
