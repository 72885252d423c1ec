"""Populations of images for the tests of drift, and lakes that hold two of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assay.data.score_key import ScoreKey
from assay.data.store.lake import Lake

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ScoreKey(detector="d@1", weights_sha256="0" * 64, profile="p", precision="fp32")
N_DIMS = 8


def population(n: int, *, seed: int, **changes: Any) -> pl.DataFrame:
    """Return images of two JPEG qualities and two sizes; their embeddings are normal.

    Args:
        n: Number of images.
        seed: Seed of the values and of the ids.
        **changes: `shift` of logits and embeddings, `quality` added to that of JPEG, `format`.
    """
    rng = np.random.default_rng(seed)
    width = rng.choice([640, 1280], n)
    quality = rng.choice([75, 90], n) + changes.get("quality", 0)
    name = changes.get("format", "JPEG")
    shift = changes.get("shift", 0.0)
    return pl.DataFrame(
        {
            "image_id": [f"{i:08x}{seed:056x}" for i in rng.permutation(n)],
            "logit": rng.normal(-2 + shift, 1.5, n),
            "width_px": width,
            "height_px": width * 3 // 4,
            "n_bytes": (width**2 * rng.uniform(0.1, 0.3, n)).astype(int),
            "format": [name] * n,
            "jpeg_quality": pl.Series(quality if name == "JPEG" else [None] * n, dtype=pl.Int32),
            "embedding": list(rng.normal(shift, 1, (n, N_DIMS))),
        }
    )


def reader(*sides: pl.DataFrame):  # type: ignore[no-untyped-def]
    """Return the reader of the embeddings of some populations."""
    rows = pl.concat([side.select("image_id", "embedding") for side in sides])

    def read(ids: pl.Series) -> dict[str, np.ndarray[Any, Any]]:
        wanted = rows.filter(pl.col("image_id").is_in(ids.implode()))
        return {image_id: np.array(vector, np.float32) for image_id, vector in wanted.iter_rows()}

    return read


def lake_of_runs(folder: Path, *runs: pl.DataFrame, domain: str | None = None) -> Lake:
    """Return a lake in which each population was scored by a run, one per day: `r0`, `r1`...

    Images lie in the folder of the column `source`; without it, in `a` and `b` in turn.
    """
    lake = Lake(folder)
    for number, rows in enumerate(runs):
        run_id, at = f"r{number}", START + timedelta(days=number)
        common = {"batch_id": f"b{number}"}
        sources = rows["source"] if "source" in rows.columns else ["a", "b"] * rows.height
        facts = rows.drop("logit", "embedding", "source", strict=False).iter_rows(named=True)
        images = [
            row
            | common
            | {
                "shard": "s",
                "row_group": 0,
                "row": 0,
                "mode": "RGB",
                "n_frames": 1,
                "phash": "0" * 16,
                "jpeg_quality": row["jpeg_quality"],
                "capture": None,
                "ai_declared": None,
                "ingested_at": at,
            }
            for row in facts
        ]
        sightings = [
            common
            | {
                "source_uri": f"file:///{sources[index]}/{image['image_id']}",
                "status": "stored",
                "reason": None,
                "detail": None,
                "image_id": image["image_id"],
                "domain": domain,
                "label": None,
                "fingerprint": "0",
                "seen_at": at,
            }
            for index, image in enumerate(images)
        ]
        scores = [
            KEY.as_row()
            | {
                "image_id": row["image_id"],
                "backend": "torch-cpu",
                "status": "scored",
                "reason": None,
                "logit": row["logit"],
                "prob_fake": 0.5,
                "embedding": list(row["embedding"]),
                "run_id": run_id,
                "code_version": "1",
                "scored_at": at,
            }
            for row in rows.iter_rows(named=True)
        ]
        run = {
            "run_id": run_id,
            "flow": "moderate",
            "status": "completed",
            "params": json.dumps(KEY.as_row() | common),
            "config_sha256": "0" * 64,
            "code_version": "1",
            "started_at": at,
            "finished_at": at,
            "counts": "{}",
        }
        tables = {"images": images, "sightings": sightings, "scores": scores, "runs": [run]}
        for table, values in tables.items():
            lake.append(table, values, txn=f"{table}:{run_id}")
    return lake
