"""Small lakes for tests, with generated images and chosen scores; no detector runs."""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from assay.data.images.inspect_image import inspect_image
from assay.data.score_key import ScoreKey
from assay.data.store.lake import Lake
from assay.data.store.shards import ShardImage
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import load_policy

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DETECTOR = "mini@0123456789ab"
WEIGHTS = "5" * 64
PROFILE = "authors-imagenet: plain@1, 440 px bilinear, centre 384 px"
KEY = ScoreKey(detector=DETECTOR, weights_sha256=WEIGHTS, profile=PROFILE, precision="fp32")


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture to put in a lake, and what the tables say of it; `prob` None is a failure."""

    name: str
    prob: float | None = 0.1
    seed: int = 0
    size: tuple[int, int] = (480, 440)
    format: str = "JPEG"
    quality: int = 85
    label: str | None = None
    domain: str | None = None
    ai_declared: str | None = None
    raw: bytes | None = None


@dataclass(kw_only=True)
class Made:
    """A lake, and the image ids by shot name."""

    lake: Lake
    ids: dict[str, str] = field(default_factory=dict)
    batch_id: str = "b-0123456789abcdef"
    run_id: str = "20260301T120000Z-00000001"


def drawn(shot: Shot) -> bytes:
    """Return coloured blobs that differ by seed, so that perceptual hashes differ too."""
    rng = np.random.default_rng(shot.seed)
    coarse = rng.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(shot.size, Image.Resampling.BICUBIC)
    out = io.BytesIO()
    options = {"quality": shot.quality} if shot.format in {"JPEG", "WEBP"} else {}
    picture.save(out, shot.format, **options)
    return out.getvalue()


def lake_of(
    folder: Path,
    shots: list[Shot],
    *,
    rejected: list[tuple[str, str, str]] = (),  # type: ignore[assignment]
    copies: list[tuple[str, str]] = (),  # type: ignore[assignment]
    status: str = "completed",
    policy: Policy | None = None,
    is_scored: bool = True,
    **params: Any,
) -> Made:
    """Ingest, score, decide and record a run, as `assay moderate` would have left them.

    Args:
        folder: Of the lake, made when it is not there.
        shots: Pictures to store and score.
        rejected: source_uri, reason and detail of items that were refused.
        copies: source_uri of a duplicate, and the name of the shot with the same bytes.
        status: Of the run.
        policy: By which the shots are decided; the packaged one by default.
        is_scored: Whether a detector ran at all.
        **params: More for the run's params.
    """
    made = Made(lake=Lake(folder))
    raws = {shot.name: shot.raw or drawn(shot) for shot in shots}
    made.ids = {name: hashlib.sha256(raw).hexdigest() for name, raw in raws.items()}
    places = made.lake.write_shard(
        [ShardImage(image_id=made.ids[s.name], raw=raws[s.name], format=s.format) for s in shots]
    )
    images, sightings, scores = [], [], []
    for number, (shot, place) in enumerate(zip(shots, places, strict=True)):
        facts = inspect_image(raws[shot.name])
        kept = {name: getattr(facts, name) for name in facts.__slots__}
        images.append(
            kept
            | {
                "ai_declared": shot.ai_declared,
                "shard": place.shard,
                "row_group": place.row_group,
                "row": place.row,
                "batch_id": made.batch_id,
                "ingested_at": START + timedelta(seconds=number),
            }
        )
        sightings.append(_sighting(made, shot.name, number, "stored", shot))
        scores.append(_score(made, shot))
    for source_uri, name in copies:
        same = next(shot for shot in shots if shot.name == name)
        sightings.append(_sighting(made, source_uri, len(sightings), "duplicate", same))
    for source_uri, reason, detail in rejected:
        row = _sighting(made, source_uri, len(sightings), "rejected", None)
        sightings.append(row | {"reason": reason, "detail": detail})
    made.lake.append("images", images, txn="images")
    made.lake.append("sightings", sightings, txn="sightings")
    policy = policy or load_policy()
    decisions: dict[str, int] = {}
    if is_scored:
        made.lake.append("scores", scores, txn="scores")
        decisions = decide_images(
            made.lake,
            image_ids=None,
            key=KEY,
            policy=policy,
            run_id=made.run_id,
        )
    n_failed = sum(shot.prob is None for shot in shots)
    counts = {
        "run_id": made.run_id,
        "lake": made.lake.uri,
        "items": len(sightings),
        "stored": len(shots),
        "duplicates": len(copies),
        "rejected": len(rejected),
        "unchanged": 0,
        "scored": len(shots) - n_failed if is_scored else 0,
        "failed": n_failed if is_scored else 0,
        "decisions": decisions,
        "seconds": 12.5,
        "images_per_second": 4.0,
        "report": None,
    }
    judged = {
        **KEY.as_row(),
        "backend": "torch-cpu",
        "policy_id": policy.policy_id,
    }
    made.lake.append(
        "runs",
        [
            {
                "run_id": made.run_id,
                "flow": "moderate" if is_scored else "ingest",
                "status": status,
                "params": json.dumps(
                    {"sources": ["/pictures"], "batch_id": made.batch_id}
                    | (judged if is_scored else {"detector": "mini"})
                    | params
                ),
                "config_sha256": "0" * 64,
                "code_version": "0.1.0",
                "started_at": START,
                "finished_at": None if status == "running" else START + timedelta(seconds=12.5),
                "counts": None if status == "running" else json.dumps(counts),
            }
        ],
        txn=f"run:{status}",
    )
    return made


def decided_again(made: Made, policy: Policy, run_id: str) -> None:
    """Decide all images by another policy, and record the run as `assay decide` does."""
    decide_images(made.lake, image_ids=None, key=KEY, policy=policy, run_id=run_id)
    judged = {**KEY.as_row(), "policy_id": policy.policy_id, "policy_rules": policy.as_dict()}
    row = {
        "run_id": run_id,
        "flow": "decide",
        "status": "completed",
        "params": json.dumps(judged),
        "config_sha256": "0" * 64,
        "code_version": "0.1.0",
        "started_at": START + timedelta(hours=2),
        "finished_at": START + timedelta(hours=2),
        "counts": "{}",
    }
    made.lake.append("runs", [row], txn=f"run:{run_id}")


def copied(made: Made, folder: Path) -> Made:
    """Return the same lake in another folder, for tests that write to it."""
    return replace(made, lake=copied_lake(made.lake, folder))


def copied_lake(lake: Lake, folder: Path) -> Lake:
    """Return the same lake in another folder."""
    shutil.copytree(lake.uri, folder)
    return Lake(folder)


def reviewed(made: Made, name: str, label: str, reviewer: str = "ann", hour: int = 1) -> None:
    """Append a reviewer's answer about one shot."""
    row = {
        "image_id": made.ids[name],
        "label": label,
        "reviewer": reviewer,
        "note": None,
        "reviewed_at": START + timedelta(hours=hour),
    }
    made.lake.append("reviews", [row], txn=f"review:{name}:{reviewer}:{hour}")


def synthesised(
    made: Made,
    name: str,
    parent: str | None,
    label: str = "fake",
    flags: tuple[str, ...] = ("research-only",),
) -> None:
    """Append the record of one shot as an image that assay made, with its licence flags."""
    row = {
        "image_id": made.ids[name],
        "parent_id": made.ids.get(parent or "", parent),
        "method": "reconstruct",
        "generator": "tiny-vae",
        "lora": None,
        "prompt": None,
        "negative_prompt": None,
        "seed": 7,
        "steps": None,
        "guidance": None,
        "strength": None,
        "params": "{}",
        "label": label,
        "license_flags": list(flags),
        "run_id": made.run_id,
        "created_at": START,
    }
    made.lake.append("synthetics", [row], txn=f"synthetic:{name}:{label}")


def decisions_of(made: Made) -> pl.DataFrame:
    """Return all rows of the decisions table."""
    return made.lake.scan("decisions").collect()


def _sighting(
    made: Made, source_uri: str, number: int, status: str, shot: Shot | None
) -> dict[str, Any]:
    uri = source_uri if "://" in source_uri else f"file:///pictures/{source_uri}"
    return {
        "batch_id": made.batch_id,
        "source_uri": uri,
        "status": status,
        "reason": "same_bytes" if status == "duplicate" else None,
        "detail": None,
        "image_id": made.ids[shot.name] if shot else None,
        "domain": shot.domain if shot else None,
        "label": shot.label if shot else None,
        "fingerprint": f"{number}",
        "seen_at": START + timedelta(seconds=number),
    }


def _score(made: Made, shot: Shot) -> dict[str, Any]:
    has_logit = shot.prob is not None and 0 < shot.prob < 1
    logit = math.log(shot.prob / (1 - shot.prob)) if has_logit else None
    return {
        "image_id": made.ids[shot.name],
        **KEY.as_row(),
        "backend": "torch-cpu",
        "status": "scored" if shot.prob is not None else "failed",
        "reason": None if shot.prob is not None else "non_finite_logit",
        "logit": logit,
        "prob_fake": shot.prob,
        "embedding": [0.0, 1.0] if shot.prob is not None else None,
        "run_id": made.run_id,
        "code_version": "0.1.0",
        "scored_at": START + timedelta(minutes=1),
    }
