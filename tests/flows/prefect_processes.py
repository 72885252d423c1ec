"""Processes of Prefect for tests: started, waited for, and ended as Ctrl-C does."""

import contextlib
import functools
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

START_TIMEOUT_S = 180


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(condition, *, timeout_s: float, what: str):
    """Return the first true result of a condition that is checked twice per second."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if answer := condition():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"waited {timeout_s} s for {what}")


@contextlib.contextmanager
def process(arguments, *, env, log: Path):
    """Run a child that is ended with the block in any case."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=env,
            stdout=out,
            stderr=out,
            cwd=log.parent,
            # A background job of a shell ignores SIGINT, and its children inherit that.
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
    try:
        yield child
    finally:
        # As Ctrl-C does: what SIGTERM ends leaves no measure of its coverage.
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
