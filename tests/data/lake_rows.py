"""Rows and images for the tests of the lake: all valid, and changed by keyword."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

from assay.data.store.lake import Lake
from assay.data.store.shards import ShardImage, ShardPlace
from assay.data.vocabulary import Label

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)


def review(image_id: str = "a", **changes: Any) -> dict[str, Any]:
    row = {
        "image_id": image_id,
        "label": Label.REAL,
        "reviewer": "ann",
        "note": None,
        "reviewed_at": NOW,
    }
    return row | changes


def score(image_id: str = "a", **changes: Any) -> dict[str, Any]:
    row = {
        "image_id": image_id,
        "detector": "d@1",
        "weights_sha256": "0" * 64,
        "profile": "p",
        "backend": "torch-cpu",
        "precision": "fp32",
        "status": "scored",
        "reason": None,
        "logit": 1.5,
        "prob_fake": 0.75,
        "embedding": [0.5, -1.0],
        "run_id": "r",
        "code_version": "1",
        "scored_at": NOW,
    }
    return row | changes


def image_row(place: ShardPlace, **changes: Any) -> dict[str, Any]:
    row = {
        "image_id": place.image_id,
        "shard": place.shard,
        "row_group": place.row_group,
        "row": place.row,
        "n_bytes": 1,
        "format": "PNG",
        "mode": "RGB",
        "width_px": 1,
        "height_px": 1,
        "n_frames": 1,
        "phash": "0" * 16,
        "jpeg_quality": None,
        "capture": None,
        "ai_declared": None,
        "batch_id": "b",
        "ingested_at": NOW,
    }
    return row | changes


def store_images(lake: Lake, *payloads: bytes) -> list[ShardPlace]:
    images = [
        ShardImage(image_id=hashlib.sha256(raw).hexdigest(), raw=raw, format="PNG")
        for raw in payloads
    ]
    places = lake.write_shard(images)
    assert lake.append("images", [image_row(p) for p in places], txn=places[0].shard)
    return places


def ids(lake: Lake, table: str = "reviews") -> list[str]:
    return sorted(lake.scan(table).collect()["image_id"].to_list())
