"""The steps as plain functions, for schedulers other than Prefect; nothing here imports it."""

from .augmentation import augment
from .comparison import drift
from .moderation import decide, ingest, report, score
from .publication import publish
from .references import Augmented, Batch, Compared, Dataset, Decided, Scored

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
