"""Work of a benchmark in a process of its own, and the peak memory of such a process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any


def answer_of(work: Callable[..., None], *arguments: Any) -> Any:
    """Return what `work` sends to its last argument, a connection, from a new process."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=work, args=(*arguments, theirs))
    process.start()
    answer = ours.recv()
    process.join()
    return answer


def peak_mb() -> float:
    """Return the peak memory of this process so far in MB.

    Linux keeps the peak of getrusage over an exec, so that it may be that of the parent.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
