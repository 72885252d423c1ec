"""Moderate several folders side by side into one lake: `fan_out.py LAKE OUT FOLDER...`."""

from __future__ import annotations

import sys

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from assay.flows.tasks import Dataset, decide, ingest, publish, score


@flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
def fan_out(lake: str, out: str, prefixes: list[str]) -> Dataset:
    """Read, score and decide each folder, and publish all as one dataset."""
    batches = ingest.map(prefixes, lake=lake)
    decided = decide.map(score.map(batches, detector="mini")).result()
    return publish(decided, out, overwrite=True)


if __name__ == "__main__":
    print(fan_out(sys.argv[1], sys.argv[2], sys.argv[3:]))
