"""The steps as plain functions, for schedulers other than Prefect; nothing here imports it."""

from .augmentation import augment
from .moderation import decide, ingest, report, score
from .publication import publish
from .references import Augmented, Batch, Dataset, Decided, Scored

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
