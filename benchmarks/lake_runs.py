"""What a run of ten images costs in a lake of many such runs, and how many files they leave.

All runs are whole ones. Those in between score with a detector of almost no cost; those that are
measured, with the embedded one. They alternate with runs in a lake that is a few runs old, so that
the speed of a busy machine cancels out in the ratio. CPU seconds are those of this process, which
is warm, or at the end of whole commands. Commits and their files are dated one hour apart per run,
the last one now, so that the lake forgets what it would forget.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from flat_cost import StandIn
from PIL import Image

import assay
import assay.flows.run as runs
from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.flows.request import Request
from assay.flows.run import run
from assay.tasks.lake.vacuum import vacuum

_PAIRS = 8  # a merge of each table is among them
_COMMANDS = 5
_IMAGES = 10
_HOUR_S = 3600
_DETECTOR = "mini"

Cost = Callable[[str, str], float]


def main() -> None:
    """Print CPU seconds of a run and numbers of files after 1, 10, 100, ... runs and a vacuum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--no-compaction", action="store_true")
    parser.add_argument("--lake", type=Path, help="Lake to go on with, of runs an hour apart.")
    arguments = parser.parse_args()
    if arguments.no_compaction:
        runs.keep_up = lambda _lake: None
    with tempfile.TemporaryDirectory() as scratch:
        _measure(arguments.lake or Path(scratch) / "lake", Path(scratch), arguments.runs)


def _measure(place: Path, here: Path, total: int) -> None:
    """Let a lake grow to a number of runs, and print a line at each power of ten."""
    lake = Lake(place)
    draw = _painter(here)
    stand_in = assay.offer_detector(StandIn(n_dimensions=192))
    n_runs = lake.scan("runs").select(pl.col("run_id").n_unique()).collect().item()
    now_s, now_ns = time.time, time.time_ns

    def age_s() -> int:
        return max(total - n_runs, 0) * _HOUR_S

    def grow(detector: str) -> None:
        nonlocal n_runs
        began_s = now_s()
        run(Request(lake=lake.uri, sources=(draw(),), detector=detector))
        _date(lake, began_s - 1, age_s())
        n_runs += 1

    def show(name: str, cost: Cost, n_pairs: int) -> None:
        """Alternate runs in this lake and in a young one, and print medians, means and ratios."""
        nonlocal n_runs
        young = here / "young"
        run(Request(lake=str(young), sources=(draw(),), detector=_DETECTOR))
        told: dict[str, list[float]] = {lake.uri: [], str(young): []}
        for _ in range(n_pairs):
            for uri, seconds in told.items():
                began_s = now_s()
                seconds.append(cost(uri, draw()))
                _date(Lake(uri), began_s - 1, age_s())
            n_runs += 1
        shutil.rmtree(young)
        old, new = told.values()
        n_live = sum(len(lake.tables.listed(table)) for table in TABLES)
        n_all = sum(1 for path in Path(lake.path("tables")).rglob("*") if path.is_file())
        medians = statistics.median(old), statistics.median(new)
        means = statistics.mean(old), statistics.mean(new)
        print(
            f"{name:>8} {medians[0]:>9.3f} {medians[1]:>9.3f} {medians[0] / medians[1]:>6.2f}"
            f" {means[0] / means[1]:>14.2f} {n_live:>10,} {n_all:>10,}",
            flush=True,
        )

    time.time = lambda: now_s() - age_s()
    time.time_ns = lambda: now_ns() - age_s() * 10**9
    print(
        f"{'runs':>8} {'CPU s':>9} {'young':>9} {'ratio':>6} {'ratio of means':>14}"
        f" {'data files':>10} {'in tables/':>10}"
    )
    _date(lake, 0, age_s())
    begun = n_runs
    grow(_DETECTOR)
    for n in [1, *(10**n for n in range(1, 7) if 10**n < total), total]:
        if n < begun:
            continue
        while n_runs < n:
            grow(stand_in)
        show(str(n), _warm, _PAIRS)
    show("command", _command, _COMMANDS)
    vacuum(lake, older_than_s=7 * 86_400)
    show("vacuum", _warm, _PAIRS)


def _painter(here: Path) -> Callable[[], str]:
    """Return a function that writes ten new images to a new folder and returns the folder."""
    random = np.random.default_rng()  # a lake that goes on has none of them yet
    count = 0

    def draw() -> str:
        nonlocal count
        count += 1
        folder = here / "sources" / f"{count:06}"
        folder.mkdir(parents=True)
        for number in range(_IMAGES):
            pixels = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
        return str(folder)

    return draw


def _date(lake: Lake, since_s: float, age_s: float) -> None:
    """Set the times of the table files that were written since a time back by an age."""
    for path in Path(lake.path("tables")).rglob("*"):
        written_s = path.stat().st_mtime
        if path.is_file() and written_s >= since_s:
            os.utime(path, (written_s - age_s,) * 2)


def _warm(lake: str, source: str) -> float:
    started_s = time.process_time()
    run(Request(lake=lake, sources=(source,), detector=_DETECTOR))
    return time.process_time() - started_s


def _command(lake: str, source: str) -> float:
    command = [sys.executable, "-m", "assay", "moderate", source, "--lake", lake]
    started_s = _of_children_s()
    subprocess.run(
        [*command, "--detector", _DETECTOR, "--no-server"], check=True, capture_output=True
    )
    return _of_children_s() - started_s


def _of_children_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    main()
