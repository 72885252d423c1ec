"""The lock of a published dataset, by which it is made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.data.errors import InputError
from assay.tasks.versions.published import read_lock


def test_a_lock_of_a_later_format_is_refused(tmp_path: Path) -> None:
    """The message names both formats and what to do."""
    lock = {"format": 2, "files": {}, "tables": {}, "seed": 0}
    (tmp_path / "VERSIONS.lock").write_text(json.dumps(lock))
    with pytest.raises(InputError, match=r"has format 2; .* reads format 1; upgrade assay"):
        read_lock(tmp_path)
