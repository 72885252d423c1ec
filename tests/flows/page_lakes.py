"""A lake of a hundred thousand images for the page, of which the first in the queue have bytes."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from lake_rows import image_row, score
from lakes import KEY
from PIL import Image

from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.data.store.shards import ShardImage
from assay.data.vocabulary import Label
from assay.tasks.decide.policy_file import load_policy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = "20260301T120000Z-00000001"
ROWS_AT_ONCE = 25_000
_DRAWINGS = 24


def page_lake(folder: Path, *, n_shown: int, n_rows: int, more: tuple[bytes, ...] = ()) -> Lake:
    """Make a lake whose queue begins with images that can be shown.

    Args:
        folder: Folder of the lake.
        n_shown: Number of images with bytes; their scores are the most uncertain ones.
        n_rows: Number of further images, as rows only, all clear.
        more: Bytes of further images that come first.
    """
    lake = Lake(folder)
    policy_id = load_policy().policy_id
    rng = np.random.default_rng(5)
    raws = [*more, *_photos(rng, n_shown)]
    ids = [hashlib.sha256(raw).hexdigest() for raw in raws]
    places = lake.write_shard(
        [ShardImage(image_id=i, raw=raw, format="JPEG") for i, raw in zip(ids, raws, strict=True)]
    )
    lake.append(
        "images",
        [image_row(place, phash=rng.bytes(8).hex(), phash_of="upright pixels") for place in places],
        txn="images",
    )
    _append(lake, ids, policy_id, "flag", 0.9, txn="shown")
    for start in range(0, n_rows, ROWS_AT_ONCE):
        n = min(ROWS_AT_ONCE, n_rows - start)
        rest = [f"{start + k:08x}{rng.bytes(28).hex()}" for k in range(n)]
        rows = pl.DataFrame({"image_id": rest}).with_columns(
            **{
                name: pl.lit(
                    value, pl.Struct(dict.fromkeys(["make", "model", "software"], pl.String))
                )
                if name == "capture"
                else pl.lit(value)
                for name, value in image_row(places[0]).items()
                if name not in {"image_id", "phash"}
            },
            phash=pl.Series([rng.bytes(8).hex() for _ in range(n)]),
            phash_of=pl.lit("upright pixels"),
            doubt=pl.lit(None, pl.String),
        )
        lake.append("images", rows, txn=f"images:{start}")
        _append(lake, rest, policy_id, "clear", 0.01, txn=f"rows:{start}")
    record = KEY.as_row() | {"policy_id": policy_id, "backend": "torch-cpu", "batch_id": "b"}
    run = {
        "run_id": RUN,
        "flow": "moderate",
        "status": "completed",
        "params": json.dumps(record),
        "config_sha256": "0" * 64,
        "code_version": "1",
        "started_at": NOW,
        "finished_at": NOW,
        "counts": "{}",
    }
    lake.append("runs", [run], txn="run")
    return lake


def _photos(rng: np.random.Generator, n: int) -> list[bytes]:
    """Return JPEGs of 1280 x 960 px with distinct bytes; few are drawn."""
    drawn = []
    for _ in range(min(n, _DRAWINGS)):
        coarse = rng.integers(0, 256, size=(24, 32, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(coarse).resize((1280, 960), Image.Resampling.BICUBIC).save(
            out, "JPEG", quality=88
        )
        drawn.append(out.getvalue())
    return [drawn[k % _DRAWINGS] + rng.bytes(8) for k in range(n)]


def _append(
    lake: Lake, ids: list[str], policy_id: str, decision: str, prob: float, *, txn: str
) -> None:
    """Append sightings, scores and decisions of some images."""
    base = pl.DataFrame({"image_id": ids})
    text = pl.lit(None, pl.String)
    lake.append(
        "sightings",
        base.select(
            batch_id=pl.lit("b"),
            source_uri=pl.lit("file:///photos/") + pl.col("image_id").str.head(12) + ".jpg",
            status=pl.lit("stored"),
            reason=text,
            detail=text,
            image_id="image_id",
            domain=text,
            label=text,
            fingerprint=pl.lit("f"),
            seen_at=pl.lit(NOW),
        ),
        txn=f"sightings:{txn}",
    )
    scored = score(**KEY.as_row(), run_id=RUN, prob_fake=prob, scored_at=NOW)
    scored["logit"] = float(np.log(prob / (1 - prob)))
    kept = {name: pl.lit(value) for name, value in scored.items() if name != "image_id"}
    kept |= {"embedding": pl.lit(None, pl.List(pl.Float32)), "reason": text}
    lake.append("scores", base.with_columns(**kept), txn=f"scores:{txn}")
    columns = {name: pl.lit(None, kind) for name, kind in pl.Schema(TABLES["decisions"]).items()}
    columns |= {name: pl.lit(value) for name, value in KEY.as_row().items()}
    columns |= {
        "policy_id": pl.lit(policy_id),
        "decision": pl.lit(decision),
        "reasons": pl.concat_list(pl.lit("at_or_above_flag_threshold")),
        "run_id": pl.lit(RUN),
        "decided_at": pl.lit(NOW),
    }
    lake.append(
        "decisions",
        base.with_columns(**{k: v for k, v in columns.items() if k != "image_id"}),
        txn=f"decisions:{txn}",
    )


LABELS = {"1": Label.REAL.value, "2": Label.FAKE.value, "3": "laundered", "4": "unsure"}
