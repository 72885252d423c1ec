"""Lakes with rows of images and no bytes, and answers about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from lakes import KEY

from assay.data.store.lake import Lake
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import load_policy
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


def judged_lake(
    folder: Path,
    probs: Sequence[float | None],
    *,
    policy: Policy | None = None,
    domains: Sequence[str | None] | None = None,
    labels: Sequence[str | None] | None = None,
    **columns: Any,
) -> Lake:
    """Return a lake of scored and decided images, one per probability; None was not scored.

    Args:
        folder: Folder of the lake.
        probs: Score of each image.
        policy: Policy; the packaged one by default.
        domains: Domain of each image.
        labels: Label of each image by its source.
        **columns: Columns of `images`.
    """
    n = len(probs)
    lake = images_lake(folder, n, **columns)
    frame = pl.DataFrame(
        {"image_id": image_ids(n), "prob_fake": pl.Series(probs, dtype=pl.Float32)}
    )
    lake.append(
        "sightings",
        frame.select(
            "image_id",
            batch_id=pl.lit("b-1"),
            source_uri=pl.format("file:///pictures/{}.jpg", pl.int_range(n)),
            status=pl.lit("stored"),
            reason=pl.lit(None, pl.String),
            detail=pl.lit(None, pl.String),
            domain=pl.Series(domains or [None] * n, dtype=pl.String),
            label=pl.Series(labels or [None] * n, dtype=pl.String),
            fingerprint=pl.lit("1"),
            seen_at=pl.lit(AT),
        ),
        txn="sightings",
    )
    prob = pl.col("prob_fake")
    lake.append(
        "scores",
        frame.filter(prob.is_not_null()).select(
            "image_id",
            **{name: pl.lit(value) for name, value in KEY.as_row().items()},
            backend=pl.lit("torch-cpu"),
            status=pl.lit("scored"),
            reason=pl.lit(None, pl.String),
            logit=(prob / (1 - prob)).log(),
            prob_fake=prob,
            embedding=pl.lit(None, pl.List(pl.Float32)),
            run_id=pl.lit("run-1"),
            code_version=pl.lit("0.1.0"),
            scored_at=pl.lit(AT),
        ),
        txn="scores",
    )
    policy = policy or load_policy()
    decide_images(lake, image_ids=None, key=KEY, policy=policy, run_id="run-1")
    settings = KEY.as_row() | {"policy_id": policy.policy_id, "policy_rules": policy.as_dict()}
    lake.append(
        "runs",
        [
            {
                "run_id": "run-1",
                "flow": "moderate",
                "status": "completed",
                "params": json.dumps(settings),
                "config_sha256": "0" * 64,
                "code_version": "0.1.0",
                "started_at": AT,
                "finished_at": AT,
                "counts": "{}",
            }
        ],
        txn="run",
    )
    return lake


def answer(image_id: str, label: str = "fake", reviewer: str = "ann", **more: Any) -> Answer:
    """Return an answer from the queue of the page."""
    given = {"image_id": image_id, "label": label, "reviewer": reviewer}
    return Answer(**(given | {"origin": "page", "kind": "queue"} | more))
