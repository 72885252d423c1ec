"""The review widget in marimo, in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from browsers import chromium
from jupyterlab import free_port, wait_for
from lakes import Shot, lake_of

from assay.tasks.review.answers import standing_answers

pytestmark = pytest.mark.browser

APP = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    import assay

    mo.ui.anywidget(assay.review("lake", where="true", reviewer="ann"))
    return
"""


def test_images_are_reviewed_by_keyboard(tmp_path: Path) -> None:
    """The same widget, with marimo's own messages below it."""
    made = lake_of(tmp_path / "lake", [Shot(name=f"{n}", seed=n, prob=0.5) for n in range(3)])
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    words = [sys.executable, "-m", "marimo", "run", "app.py", "--headless", "--no-token"]
    with (tmp_path / "marimo.log").open("w") as log:
        server = subprocess.Popen(
            [*words, "--host", "127.0.0.1", "--port", str(port)],
            cwd=tmp_path,
            env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health")
            with chromium() as browser:
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{port}")
                for key in "fru":
                    page.wait_for_selector(".assay-review .frame img", timeout=60_000)
                    page.focus(".assay-review")
                    page.keyboard.press(key)
                page.wait_for_selector(".assay-review[data-saved=saved] .done")
        finally:
            server.terminate()
            server.wait(timeout=60)
    rows = standing_answers(made.lake).sort("reviewed_at").collect()
    assert rows["label"].to_list() == ["fake", "real", "unsure"]
