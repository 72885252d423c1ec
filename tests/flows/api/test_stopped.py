"""Ctrl-C during a call is one line that says what is kept, and the same call goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import factories
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from traitlets.config import Config

import assay
from assay.flows.api import stopped

SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from test_stopped import moderated_until_stopped
moderated_until_stopped({lake!r})
"""


class Stopping(Image.Image):
    """An image that sends Ctrl-C to its process when it is encoded."""

    def save(self, *_args, **_options):
        """Send the signal and fail."""
        os.kill(os.getpid(), signal.SIGINT)
        raise OSError("stopped while it was encoded")


def images():
    return [np.asarray(factories.photo(seed=seed)) for seed in range(4)]


def moderated_until_stopped(lake):
    """Stop at the last of five images."""
    stopping = Stopping()
    stopping._mode, stopping._size = "RGB", (480, 440)
    stopping.im = Image.new("RGB", (480, 440)).im
    settings = {"detector": "mini", "backend": "torch", "quiet": True}
    assay.moderate([*images(), stopping], lake=lake, **settings)


def test_a_script_ends_with_one_line_and_the_code_of_ctrl_c(tmp_path: Path) -> None:
    """No traceback; the images that were read are kept."""
    script = SCRIPT.format(here=str(Path(__file__).parent), lake=str(tmp_path / "lake"))
    factories_path = str(Path(factories.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": factories_path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGINT
    (line,) = done.stderr.splitlines()
    assert line.startswith("assay: interrupted: ")
    assert "the same call" in line
    runs = assay.Lake(tmp_path / "lake").scan("runs").collect()
    assert set(runs["status"]) == {"running", "interrupted"}
    result = assay.moderate(
        images(), lake=tmp_path / "lake", detector="mini", backend="torch", quiet=True
    )
    assert (result.items, result.rejected) == (4, 0)


def test_a_thread_that_still_works_does_not_change_the_code_of_ctrl_c() -> None:
    """CPython forgets the signal when a thread runs code from text, which imports do."""
    script = """
import threading
from assay.flows.api.stopped import told_when_stopped

def work():
    threading.main_thread().join()
    exec("0")

threading.Thread(target=work).start()
with told_when_stopped():
    raise KeyboardInterrupt
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGINT


def test_a_cell_shows_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a real IPython, and the next cell runs."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    InteractiveShell.clear_instance()
    # Its file would be closed at the end of the process, when the folder is gone.
    no_history = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=no_history, colors="nocolor")
    try:
        shell.user_ns["stop"] = lambda: moderated_until_stopped(tmp_path / "lake")
        outcome = shell.run_cell("stop()")
        assert isinstance(outcome.error_in_exec, KeyboardInterrupt)
        shown = capsys.readouterr()
        (line,) = (shown.out + shown.err).strip().splitlines()
        assert line.startswith("interrupted: ")
        assert shell.run_cell("1 + 1").result == 2
    finally:
        InteractiveShell.clear_instance()


def test_other_exceptions_are_shown_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook before is called, and is replaced once."""
    seen: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: seen.append(error))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), stopped.told_when_stopped():
            raise KeyboardInterrupt
    error = ValueError("x")
    sys.excepthook(ValueError, error, None)
    assert seen == [error]


def test_scores_that_are_not_kept_are_not_promised() -> None:
    """Without a lake there is nothing to go on from."""
    detect = assay.Detector("mini", backend="torch")

    def images() -> Iterator[np.ndarray]:
        yield np.zeros((8, 8), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stop:
        detect.score(images())
    assert "nothing is kept without a lake" in stop.value._render_traceback_()[0]
