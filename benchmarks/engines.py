"""What a task costs on an engine, what a second worker brings, and the driver's memory.

Each measurement is a process of its own with a cluster of its own, already started and warm.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from engine_steps import a_second_of_cpu, nothing
from photos import photos_between, write_photos

from assay.data.store.lake import Lake
from assay.flows import run as run_module
from assay.flows.engines.placing import ahead, close_engines
from assay.flows.request import Request
from assay.flows.run import run

RUNNERS = ("threads", "ray", "dask")


def main() -> None:
    """Print medians over interleaved rounds, and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--n", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--one", nargs=2, metavar=("RUNNER", "WORKERS"))
    arguments = parser.parse_args()
    if arguments.one:
        runner, n_workers = arguments.one
        found = measured(runner, int(n_workers), arguments.photos, arguments.tasks)
        print(json.dumps(found))
        return
    rounds: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_photos(Path(scratch) / "in", photos_between(arguments.photos, arguments.n))
        for _ in range(arguments.rounds):
            for runner in RUNNERS:
                for n_workers in (1, 2):
                    found = in_a_process(runner, n_workers, folder, arguments.tasks)
                    print(runner, n_workers, found, flush=True)
                    rounds.setdefault((runner, n_workers), []).append(found)
    print(f"{'runner, workers':18}", *(f"{name:>22}" for name in next(iter(rounds.values()))[0]))
    for (runner, n_workers), found in rounds.items():
        middle = [statistics.median(one[name] for one in found) for name in found[0]]
        print(f"{runner + ', ' + str(n_workers):18}", *(f"{value:22.3f}" for value in middle))


def in_a_process(runner: str, n_workers: int, folder: Path, n_tasks: int) -> dict[str, float]:
    """Measure in a new process, whose modules its workers can import."""
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, __file__, "--one", runner, str(n_workers)]
    command += ["--photos", str(folder), "--tasks", str(n_tasks)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(runner: str, n_workers: int, folder: Path, n_tasks: int) -> dict[str, float]:
    """Return seconds, rates and memory of one runner with single-thread workers."""
    settings: dict[str, Any] = {"runner": runner, "detector": "mini", "n_workers": 1}
    settings |= {"n_workers": n_workers} if runner == "threads" else {"runner_workers": n_workers}
    run_module.IMAGES_PER_TASK = 20
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        lake = Lake(Path(scratch) / "lake")
        request = Request(lake=lake.uri, **settings)
        started_s = time.perf_counter()
        seconds(nothing, lake, request, 1)
        found["start s"] = time.perf_counter() - started_s
        seconds(a_second_of_cpu, lake, request, n_workers)  # all workers are there
        found["ms per task"] = seconds(nothing, lake, request, 500) / 500 * 1000
        found["8 s of work, s"] = seconds(a_second_of_cpu, lake, request, 8)
        run(request.changed(lake=f"{scratch}/warm", sources=(str(folder),)))
        done = run(request.changed(lake=f"{scratch}/measured", sources=(str(folder),)))
        found["moderate, images/s"] = done.images_per_second
        seconds(nothing, lake, request, n_tasks // 10)
        before_mb = rss_mb()
        seconds(nothing, lake, request, n_tasks)
        found["driver grows by, MB"] = rss_mb() - before_mb
    close_engines()
    return found


def seconds(step: Any, lake: Lake, request: Request, n_tasks: int) -> float:
    """Return the seconds that a number of calls of a step take, as a run makes them."""
    started_s = time.perf_counter()
    calls = ((lake, request, "run", f"shard-{n}", [str(n)]) for n in range(n_tasks))
    with closing(ahead(step, request, calls)) as in_order:
        for call in in_order:
            step(*call)
    return time.perf_counter() - started_s


def rss_mb() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
