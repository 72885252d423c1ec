"""Descriptions of the lake's tables and columns; `schema.TABLES` has their types."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

ROW_TEXTS: Final[dict[str, str]] = {
    "images": "One row per distinct image content.",
    "sightings": "One row per item of a batch, and one more whenever what became of it changes.",
    "scores": "One row per image and score key: detector, weights, profile and precision.",
    "views": "One row per tile of an image and score key, where a run has `--views`.",
    "decisions": "One row per image, score key and policy, and one more whenever it changes.",
    "reviews": "One row per answer of a person.",
    "synthetics": "One row per made image.",
    "runs": "One row per step in the life of a run; the latest row counts.",
}
_KEY: Final = {
    "detector": "Id of the detector, `name@version`",
    "weights_sha256": "Hash of the weights",
    "profile": "Preprocessing, named in full",
    "precision": "Number format of the network: fp32, bf16, fp16, or int8 with a hash",
}
_SCORED: Final = _KEY | {
    "image_id": "Image",
    "backend": "Library and device that ran the network",
    "status": "scored or failed",
    "reason": "Why it failed",
    "logit": "Output of the detector, positive towards AI-generated",
    "run_id": "Run that scored",
    "scored_at": "Time of the score",
}
COLUMN_TEXTS: Final[dict[str, dict[str, str]]] = {
    "images": {
        "image_id": "SHA-256 of the encoded bytes",
        "shard": "File below the lake that has the bytes",
        "row_group": "Row group in the shard",
        "row": "Row in the row group",
        "n_bytes": "Size of the encoded bytes",
        "format": "JPEG, PNG, WEBP, AVIF, GIF or BMP",
        "mode": "Pillow's mode of the stored pixels",
        "width_px": "Width as stored, before any rotation its metadata asks for",
        "height_px": "Height as stored",
        "n_frames": "Frames; 1 for a still image",
        "phash": "Perceptual hash, 64 bits in hex",
        "phash_of": "`upright`; null in rows of earlier versions: pixels as stored",
        "jpeg_quality": "Quality estimated from the JPEG tables",
        "capture": "Make, model and software of the camera or program, from its metadata",
        "ai_declared": "Declaration of AI origin in its metadata",
        "doubt": "Why people may see another image than is scored",
        "batch_id": "Batch that brought it first",
        "ingested_at": "Time of the first ingest",
    },
    "sightings": {
        "batch_id": "Batch of the item",
        "source_uri": "Where the item is, without secrets",
        "status": "stored, duplicate or rejected",
        "reason": "Why it is a duplicate or rejected",
        "detail": "What was seen, at most 200 characters",
        "image_id": "Image; null where it was rejected",
        "domain": "Domain, for the policy's thresholds",
        "label": "Label that the source gives",
        "fingerprint": "Size and time, ETag or checksum: another one, and the bytes are read again",
        "seen_at": "Time of the ingest",
    },
    "scores": _SCORED
    | {
        "prob_fake": "Sigmoid of the logit, in [0, 1]",
        "embedding": "Embedding of the image; null where the detector has none",
        "code_version": "Version of assay",
    },
    "views": _SCORED
    | {
        "view": "Name of the tile",
        "left_px": "Left edge in the upright image",
        "top_px": "Top edge",
        "side_px": "Side of the square",
    },
    "decisions": _KEY
    | {
        "image_id": "Image",
        "policy_id": "Name of the policy and hash of its rules",
        "calibration_id": "Reserved for calibration",
        "prob_calibrated": "Reserved for calibration",
        "decision": "clear, review or flag",
        "reasons": "Why, at least one",
        "group_id": "Reserved for groups of images",
        "run_id": "Run that decided",
        "decided_at": "Time of the decision",
    },
    "reviews": {
        "image_id": "Image",
        "label": "real, fake, laundered or unsure",
        "reviewer": "Who says so",
        "note": "Note of the reviewer",
        "reviewed_at": "Time of the answer",
    },
    "synthetics": {
        "image_id": "Made image",
        "parent_id": "Image that it was made from",
        "method": "Method of the plan",
        "generator": "Id of the generator or autoencoder",
        "lora": "Adapters with their weights",
        "prompt": "Prompt",
        "negative_prompt": "Negative prompt",
        "seed": "Seed of the image",
        "steps": "Steps of the generator",
        "guidance": "Guidance scale",
        "strength": "Share of the steps that repaint the parent, in [0, 1]",
        "params": "JSON: settings, plan, key and notes of the method",
        "label": "fake or laundered",
        "license_flags": "Conditions of the generator's licence",
        "run_id": "Run that made it",
        "created_at": "Time it was made",
    },
    "runs": {
        "run_id": "Id of the run",
        "flow": "Command or flow",
        "status": "running, completed, failed or interrupted",
        "params": "JSON: settings, sources and what ran",
        "config_sha256": "Hash of the settings",
        "code_version": "Version of assay",
        "started_at": "Start",
        "finished_at": "End",
        "counts": "JSON: counts of the run",
    },
}


def kind_text(kind: pa.DataType) -> str:
    """Return the type of a column in words."""
    if pa.types.is_timestamp(kind):
        return "time, UTC"
    if pa.types.is_struct(kind):
        return "struct of " + ", ".join(field.name for field in kind)
    if pa.types.is_list(kind):
        return f"list of {kind_text(kind.value_type)}"
    return {"string": "text", "float": "float32"}.get(str(kind), str(kind))
