"""Lakes with rows of images and no bytes, and answers about them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from assay.data.store.lake import Lake
from assay.tasks.review.answer import Answer

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def image_ids(n: int) -> list[str]:
    """Return the ids of the first images of `images_lake`."""
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(n)]


def images_lake(folder: Path, n: int = 3, **columns: Any) -> Lake:
    """Return a lake of which the table `images` has rows; columns may be given."""
    rows = pl.DataFrame(
        {
            "image_id": image_ids(n),
            "shard": "shards/none.parquet",
            "row_group": 0,
            "row": range(n),
            "n_bytes": 1000,
            "format": "JPEG",
            "mode": "RGB",
            "width_px": 800,
            "height_px": 600,
            "n_frames": 1,
            "phash": [f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" for number in range(n)],
            "phash_of": "upright",
            "jpeg_quality": 90,
            "capture": None,
            "ai_declared": None,
            "doubt": None,
            "batch_id": "b-1",
            "ingested_at": AT,
        }
        | columns
    )
    lake = Lake(folder)
    lake.append("images", rows, txn="images")
    return lake


def answer(image_id: str, label: str = "fake", reviewer: str = "ann", **more: Any) -> Answer:
    """Return an answer from the queue of the page."""
    given = {"image_id": image_id, "label": label, "reviewer": reviewer}
    return Answer(**(given | {"origin": "page", "kind": "queue"} | more))
