"""The steps as Prefect tasks, for flows of your own; outside a flow they are plain functions."""

from ..plain import Augmented, Batch, Compared, Dataset, Decided, Scored
from .steps import augment, decide, drift, ingest, publish, report, score

__all__ = [
    "Augmented",
    "Batch",
    "Compared",
    "Dataset",
    "Decided",
    "Scored",
    "augment",
    "decide",
    "drift",
    "ingest",
    "publish",
    "report",
    "score",
]
