"""What a run of ten images costs in a lake of many such runs, and how many files they leave.

Runs of ten images are committed as the steps commit them: ingested, with rows of scores and
decisions from a stand-in for the detector. In between, whole runs with the embedded detector are
measured in CPU seconds of this process. Commits and their files are dated one hour apart per run,
the last one now, so that the lake forgets what it would forget.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

import assay.flows.run as runs
from assay.data.schema import TABLES
from assay.data.score_key import ScoreKey
from assay.data.store.lake import Lake
from assay.flows.request import Request
from assay.flows.run import run
from assay.tasks.lake.vacuum import vacuum

_REPEATS = 5
_IMAGES = 10
_HOUR_S = 3600


def main() -> None:
    """Print CPU seconds of a run and numbers of files after 1, 10, 100, ... runs and a vacuum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--no-compaction", action="store_true")
    arguments = parser.parse_args()
    if arguments.no_compaction:
        runs.keep_up = lambda _lake: None
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        lake = Lake(here / "lake")
        draw = _painter(here)
        n_runs = 1
        now_s, now_ns = time.time, time.time_ns

        def age_s() -> int:
            return max(arguments.runs - n_runs, 0) * _HOUR_S

        time.time = lambda: now_s() - age_s()
        time.time_ns = lambda: now_ns() - age_s() * 10**9
        first = run(Request(lake=lake.uri, sources=(draw(),), detector="mini"))
        print(f"{'runs':>6} {'run, CPU s':>11} {'ratio':>6} {'data files':>10} {'in tables/':>10}")
        wanted = [1, *(10**n for n in range(1, 7) if 10**n < arguments.runs), arguments.runs]
        base_s = None
        for n in wanted:
            while n_runs < n:
                began_s = now_s()
                _stand_in(lake, draw())
                _date(lake, began_s - 1, age_s())
                n_runs += 1
            began_s = now_s()
            seconds = [_measured(lake, draw()) for _ in range(_REPEATS)]
            _date(lake, began_s - 1, age_s())
            n_runs += _REPEATS
            median_s = statistics.median(seconds)
            base_s = base_s or median_s
            _show(str(n), median_s, base_s, lake)
        vacuum(lake, older_than_s=7 * 86_400)
        _show("vacuum", _measured(lake, draw()), base_s or 0.0, lake)
    print(f"detector {first.detector}, backend {first.backend}")


def _painter(here: Path) -> Callable[[], str]:
    """Return a function that writes ten new images to a new folder and returns the folder."""
    random = np.random.default_rng(5)
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


def _stand_in(lake: Lake, source: str) -> None:
    """Ingest ten images, and commit scores and decisions that no detector made."""
    request = Request(lake=lake.uri, sources=(source,))
    ingested = run(request, flow="ingest")
    seen = lake.scan("sightings").filter(batch_id=ingested.batch_id).collect()
    now = datetime.now(UTC)
    key = ScoreKey(detector="stand-in@1", weights_sha256="0" * 64, profile="p", precision="fp32")
    shared = {**key.as_row(), "run_id": ingested.run_id}
    scores = [
        {
            **shared,
            "image_id": image_id,
            "backend": "none",
            "status": "scored",
            "reason": None,
            "logit": 0.5,
            "prob_fake": 0.6,
            "embedding": [0.1] * 384,
            "code_version": "0",
            "scored_at": now,
        }
        for image_id in seen["image_id"]
    ]
    decisions = [
        {
            **shared,
            "image_id": image_id,
            "policy_id": "stand-in",
            "calibration_id": None,
            "prob_calibrated": None,
            "decision": "clear",
            "reasons": [],
            "group_id": None,
            "decided_at": now,
        }
        for image_id in seen["image_id"]
    ]
    for table, rows in (("scores", scores), ("decisions", decisions)):
        lake.append(table, rows, txn=f"{ingested.run_id}:{table}", after=lake.version(table) or 0)


def _show(name: str, seconds: float, base_s: float, lake: Lake) -> None:
    n_live = sum(len(lake.tables.listed(table)) for table in TABLES)
    n_all = sum(1 for path in Path(lake.path("tables")).rglob("*") if path.is_file())
    ratio = seconds / base_s
    print(f"{name:>6} {seconds:>11.3f} {ratio:>6.2f} {n_live:>10,} {n_all:>10,}", flush=True)


def _date(lake: Lake, since_s: float, age_s: float) -> None:
    """Set the times of the table files that were written since a time back by an age."""
    for path in Path(lake.path("tables")).rglob("*"):
        written_s = path.stat().st_mtime
        if path.is_file() and written_s >= since_s:
            os.utime(path, (written_s - age_s,) * 2)


def _measured(lake: Lake, source: str) -> float:
    started_s = time.process_time()
    run(Request(lake=lake.uri, sources=(source,), detector="mini"))
    return time.process_time() - started_s


if __name__ == "__main__":
    main()
