"""The steps as Prefect tasks, for flows of your own; outside a flow they are plain functions."""

from ..plain import Augmented, Batch, Dataset, Decided, Scored
from .steps import augment, decide, ingest, publish, report, score

__all__ = [
    "Augmented",
    "Batch",
    "Dataset",
    "Decided",
    "Scored",
    "augment",
    "decide",
    "ingest",
    "publish",
    "report",
    "score",
]
