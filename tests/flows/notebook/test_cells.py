"""Runs in the cells of a real kernel: bars instead of lines, and an interrupt that resumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_kernel import Kernel
from lakes import Shot, drawn

N_IMAGES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw the images of a run."""
    folder = tmp_path_factory.mktemp("cells")
    (folder / "images").mkdir()
    for seed in range(N_IMAGES):
        (folder / "images" / f"{seed}.jpg").write_bytes(drawn(Shot(name="", seed=seed)))
    return folder


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Kernel]:
    """Start a kernel in which a run is interrupted after its third image, once."""
    kernel = Kernel(folder)
    kernel.run(
        "import signal, assay\n"
        "from assay.flows import progress, start\n"
        "class StopAtThird(progress.CellBars):\n"
        "    left = 3\n"
        "    def advance(self, n):\n"
        "        super().advance(n)\n"
        "        self.left -= n\n"
        "        if self.left == 0:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "shown = start.for_terminal\n"
    )
    yield kernel
    kernel.kill()


RUN = "result = assay.moderate('images', lake='stopped', detector='mini', backend='torch')"


def test_an_interrupted_cell_says_what_is_kept_in_one_line_and_resumes(kernel: Kernel) -> None:
    """No traceback; the next cell is not run by `Run All`; the same cell does the rest."""
    ran = kernel.run(f"start.for_terminal = lambda quiet: StopAtThird()\n{RUN}")
    assert ran.error is not None
    assert ran.error["ename"] == "KeyboardInterrupt"
    assert len(ran.error["traceback"]) == 1
    assert ran.error["traceback"][0] == (
        "interrupted: 3 of 6 items are done and kept; the same cell resumes with the other 3"
    )
    assert ran.text == ""

    ran = kernel.run(f"start.for_terminal = shown\n{RUN}\nresult.items, result.scored")
    assert ran.error is None
    runs = kernel.run(
        "assay.Lake('stopped').scan('runs').sql(\"SELECT status FROM self WHERE status <> 'running'"
        " ORDER BY finished_at\").collect()['status'].to_list()"
    )
    assert runs.result == "['interrupted', 'completed']"
    held = kernel.run("assay.Lake('stopped').scan('scores').collect().height")
    assert held.result == str(N_IMAGES)


def test_progress_is_a_bar_of_the_cell_and_not_lines_on_stderr(kernel: Kernel) -> None:
    """One widget per phase, filled at the end."""
    ran = kernel.run(
        "from assay.flows.progress import for_terminal\n"
        "bars = for_terminal()\n"
        "bars.begin('score', None)\n"
        "bars.expect(4)\n"
        "for _ in range(3): bars.advance(1)\n"
        "bars.end()\n"
    )
    assert ran.error is None
    assert ran.of("stream") == []
    shown = [one["data"] for one in ran.of("display_data")]
    assert ["application/vnd.jupyter.widget-view+json" in data for data in shown] == [True]


def test_a_quiet_run_draws_nothing(kernel: Kernel) -> None:
    """`quiet=True` as in a terminal."""
    ran = kernel.run("assay.moderate('images', lake='quiet', detector='mini', quiet=True);")
    assert ran.error is None
    assert ran.of("display_data") == []
    assert ran.of("stream") == []
