"""Publish what a rule of your own keeps of a folder: `filter_and_publish.py FOLDER LAKE OUT`."""

import sys

import polars as pl
from prefect import flow, task

from assay.flows.tasks import Dataset, Decided, decide, ingest, publish, score


@task
def doubtful(decided: Decided) -> list[str]:
    """Return the ids of the images that the detector is least sure of."""
    return decided.rows().sort((pl.col("prob_fake") - 0.5).abs()).head(2)["image_id"].to_list()


@flow
def filter_and_publish(folder: str, lake: str, out: str) -> Dataset:
    """Read a folder, score it, and publish the most doubtful images."""
    decided = decide(score(ingest(folder, lake=lake), detector="mini"))
    return publish(decided, out, ids=doubtful(decided), where="width_px >= 32", overwrite=True)


if __name__ == "__main__":
    print(filter_and_publish(*sys.argv[1:]))
