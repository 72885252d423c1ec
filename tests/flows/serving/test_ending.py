"""SIGTERM ends the runs of a serving process before the process."""

import multiprocessing
import os
import signal
import time

import pytest
from prefect.runner import Runner

from assay.flows.process.signals import Terminated
from assay.flows.serving.ending import runs_ended_first


def commit_at_sigterm(folder) -> None:
    """Stand in for a run: write a file when SIGTERM comes, and end."""

    def commit(*_: object) -> None:
        (folder / "committed").write_text("a row")
        os._exit(143)

    signal.signal(signal.SIGTERM, commit)
    (folder / "begun").touch()
    time.sleep(60)


def test_sigterm_reaches_the_runs_and_then_stops_serving_as_ctrl_c_does(tmp_path):
    """The run has committed when the runner is interrupted; the command then ends with 143."""
    run = multiprocessing.get_context("fork").Process(target=commit_at_sigterm, args=(tmp_path,))
    run.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    usual = Runner.handle_sigterm
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Terminated):
            serve_until_interrupted(order := [], tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert order == ["a row"]
    assert run.exitcode == 143
    assert Runner.handle_sigterm is usual


def serve_until_interrupted(order: list[str], folder) -> None:
    """Stand in for serving: SIGTERM comes at once, and the interrupt after it stops serving."""
    with runs_ended_first():
        try:
            Runner.handle_sigterm(Runner, signal.SIGTERM, None)
        except KeyboardInterrupt:
            order.append((folder / "committed").read_text())
