"""What tests of notebooks share: a real IPython with a folder of its own."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """Start a real IPython with a folder of its own."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "assay")
    yield shell
    # IPython would end its history at the end of the process, when the folder is gone.
    atexit.unregister(shell.atexit_operations)
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()
