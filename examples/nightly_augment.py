"""Augment and score a lake again every night: `nightly_augment.py PLAN LAKE`."""

from __future__ import annotations

import sys

from prefect import flow

from assay.flows.tasks import augment, decide, report, score


@flow(log_prints=True)
def nightly_augment(plan: str, lake: str, detector: str = "mini") -> str:
    """Make the images of a plan, score what the detector has not scored yet, and report."""
    made = augment(plan, lake=lake, detector=detector)
    print(f"{made.made} images made, {made.known} known; who evades: {made.evasion_report}")
    return report(decide(score(lake=lake, detector=detector)))


if __name__ == "__main__":
    nightly_augment.serve(cron="0 2 * * *", parameters={"plan": sys.argv[1], "lake": sys.argv[2]})
