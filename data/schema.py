"""Columns of every table, defined here and nowhere else; their closed vocabularies: `vocabulary`.

No I/O. Times are UTC in microseconds; probabilities are in [0, 1]; `*_px` are pixels of the image
as stored, before its EXIF orientation is applied.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("us", tz="UTC")
_TEXT: Final = pa.string()


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


# What a score, the score of a tile and that of a delivery are of.
_SCORED: Final = tuple(
    _required(name, _TEXT)
    for name in ("image_id", "detector", "weights_sha256", "profile", "backend", "precision")
)

# A new column is nullable: existing tables get it at their next append.
TABLES: Final[dict[str, pa.Schema]] = {
    "images": pa.schema(
        [
            _required("image_id", _TEXT),
            _required("shard", _TEXT),
            _required("row_group", pa.int32()),
            _required("row", pa.int32()),
            _required("n_bytes", pa.int64()),
            _required("format", _TEXT),
            _required("mode", _TEXT),
            _required("width_px", pa.int32()),
            _required("height_px", pa.int32()),
            _required("n_frames", pa.int32()),
            _required("phash", _TEXT),
            # `inspect_image.UPRIGHT_PIXELS`; null for hashes of pixels as stored (older rows).
            pa.field("phash_of", _TEXT),
            pa.field("jpeg_quality", pa.int32()),
            pa.field(
                "capture",
                pa.struct(
                    [pa.field("make", _TEXT), pa.field("model", _TEXT), pa.field("software", _TEXT)]
                ),
            ),
            pa.field("ai_declared", _TEXT),
            pa.field("doubt", _TEXT),
            _required("batch_id", _TEXT),
            _required("ingested_at", _TIME),
        ]
    ),
    "sightings": pa.schema(
        [
            _required("batch_id", _TEXT),
            _required("source_uri", _TEXT),
            _required("status", _TEXT),
            pa.field("reason", _TEXT),
            pa.field("detail", _TEXT),
            pa.field("image_id", _TEXT),
            pa.field("domain", _TEXT),
            pa.field("label", _TEXT),
            _required("fingerprint", _TEXT),
            _required("seen_at", _TIME),
        ]
    ),
    "scores": pa.schema(
        [
            *_SCORED,
            _required("status", _TEXT),
            pa.field("reason", _TEXT),
            pa.field("logit", pa.float32()),
            pa.field("prob_fake", pa.float32()),
            pa.field("embedding", pa.list_(pa.float32())),
            _required("run_id", _TEXT),
            _required("code_version", _TEXT),
            _required("scored_at", _TIME),
        ]
    ),
    "views": pa.schema(
        [
            *_SCORED,
            _required("view", _TEXT),
            pa.field("left_px", pa.int32()),
            pa.field("top_px", pa.int32()),
            pa.field("side_px", pa.int32()),
            _required("status", _TEXT),
            pa.field("reason", _TEXT),
            pa.field("logit", pa.float32()),
            _required("run_id", _TEXT),
            _required("scored_at", _TIME),
        ]
    ),
    "deliveries": pa.schema(
        [
            *_SCORED,
            # Name of the condition of `synth.laundering.DELIVERIES`.
            _required("delivery", _TEXT),
            _required("status", _TEXT),
            pa.field("reason", _TEXT),
            pa.field("logit", pa.float32()),
            _required("run_id", _TEXT),
            _required("scored_at", _TIME),
        ]
    ),
    "measures": pa.schema(
        [
            _required("image_id", _TEXT),
            pa.field("reason", _TEXT),
            pa.field("detail", pa.float32()),
            pa.field("flat_share", pa.float32()),
            pa.field("n_colours", pa.int32()),
            pa.field("pdq", _TEXT),
            _required("measured_at", _TIME),
        ]
    ),
    "decisions": pa.schema(
        [
            _required("image_id", _TEXT),
            _required("detector", _TEXT),
            # The rest of the score key; for rows older than these columns it is in `runs`.
            pa.field("weights_sha256", _TEXT),
            pa.field("profile", _TEXT),
            pa.field("precision", _TEXT),
            _required("policy_id", _TEXT),
            pa.field("calibration_id", _TEXT),
            pa.field("prob_calibrated", pa.float32()),
            # Conformal p-value: share of comparable real images with a score as high.
            pa.field("p_real", pa.float32()),
            # Conformal p-value: share of the labelled real images as far from all the others.
            pa.field("p_domain", pa.float32()),
            _required("decision", _TEXT),
            _required("reasons", pa.list_(_TEXT)),
            pa.field("group_id", _TEXT),
            _required("run_id", _TEXT),
            _required("decided_at", _TIME),
            # The log of a run; see `decision_log`.
            pa.field("inputs_sha256", _TEXT),
            pa.field("log_index", pa.int64()),
            pa.field("previous_sha256", _TEXT),
        ]
    ),
    "reviews": pa.schema(
        [
            _required("image_id", _TEXT),
            _required("label", _TEXT),
            _required("reviewer", _TEXT),
            pa.field("note", _TEXT),
            _required("reviewed_at", _TIME),
            # The columns from here on are null in answers of versions up to 0.2.0.
            pa.field("answer_id", _TEXT),
            pa.field("reason", _TEXT),
            pa.field("shown", pa.list_(_TEXT)),
            pa.field("seconds", pa.float32()),
            pa.field("origin", _TEXT),
            pa.field("kind", _TEXT),
            # Answer that the row takes back; such a row is no answer itself.
            pa.field("withdraws", _TEXT),
            pa.field("run_id", _TEXT),
        ]
    ),
    "golden": pa.schema(
        [
            _required("image_id", _TEXT),
            _required("label", _TEXT),
            _required("set_by", _TEXT),
            _required("set_at", _TIME),
            _required("is_active", pa.bool_()),
        ]
    ),
    "appeals": pa.schema(
        [
            _required("appeal_id", _TEXT),
            _required("image_id", _TEXT),
            _required("event", _TEXT),
            # The contested label if opened, the right one otherwise.
            _required("label", _TEXT),
            pa.field("text", _TEXT),
            _required("by", _TEXT),
            pa.field("answer_id", _TEXT),
            _required("at", _TIME),
        ]
    ),
    "synthetics": pa.schema(
        [
            _required("image_id", _TEXT),
            pa.field("parent_id", _TEXT),
            _required("method", _TEXT),
            pa.field("generator", _TEXT),
            pa.field("lora", _TEXT),
            pa.field("prompt", _TEXT),
            pa.field("negative_prompt", _TEXT),
            pa.field("seed", pa.int64()),
            pa.field("steps", pa.int32()),
            pa.field("guidance", pa.float32()),
            pa.field("strength", pa.float32()),
            pa.field("params", _TEXT),
            _required("label", _TEXT),
            pa.field("license_flags", pa.list_(_TEXT)),
            _required("run_id", _TEXT),
            _required("created_at", _TIME),
        ]
    ),
    "audits": pa.schema(
        [
            _required("audit_id", _TEXT),
            _required("image_id", _TEXT),
            _required("stratum", _TEXT),
            _required("n_stratum", pa.int64()),
            _required("n_drawn", pa.int64()),
            _required("detector", _TEXT),
            _required("weights_sha256", _TEXT),
            _required("profile", _TEXT),
            _required("precision", _TEXT),
            _required("policy_id", _TEXT),
            _required("seed", pa.int64()),
            _required("drawn_at", _TIME),
        ]
    ),
    "known_hashes": pa.schema(
        [
            _required("hash", _TEXT),
            _required("list_name", _TEXT),
            _required("decision", _TEXT),
            pa.field("note", _TEXT),
            _required("added_at", _TIME),
        ]
    ),
    "calibrations": pa.schema(
        [
            _required("calibration_id", _TEXT),
            _required("detector", _TEXT),
            _required("weights_sha256", _TEXT),
            _required("profile", _TEXT),
            _required("precision", _TEXT),
            _required("guarantee", _TEXT),
            pa.field("domain", _TEXT),
            _required("real_logits", pa.list_(pa.float32())),
            # See `embedding_domain`; null for calibrations of earlier versions.
            pa.field("references", pa.list_(pa.list_(pa.float32()))),
            pa.field("real_distances", pa.list_(pa.float32())),
            _required("facts", _TEXT),
            _required("created_at", _TIME),
        ]
    ),
    "forgotten": pa.schema(
        [
            _required("image_id", _TEXT),
            _required("is_erased", pa.bool_()),
            pa.field("reason", _TEXT),
            _required("by", _TEXT),
            _required("at", _TIME),
        ]
    ),
    "runs": pa.schema(
        [
            _required("run_id", _TEXT),
            _required("flow", _TEXT),
            _required("status", _TEXT),
            _required("params", _TEXT),
            _required("config_sha256", _TEXT),
            _required("code_version", _TEXT),
            _required("started_at", _TIME),
            pa.field("finished_at", _TIME),
            pa.field("counts", _TEXT),
        ]
    ),
}

# Columns by which the rows of a compacted file are sorted, so that a lookup by the first one skips
# most files and row groups by their bounds. Files of single commits are in the order of the commit.
SORTED_BY: Final[dict[str, tuple[str, ...]]] = {
    "images": ("image_id",),
    # Items are looked up by address; those of one batch mostly share its beginning.
    "sightings": ("source_uri", "batch_id", "seen_at"),
    "scores": ("image_id", "scored_at"),
    "views": ("image_id", "scored_at"),
    "deliveries": ("image_id", "scored_at"),
    "measures": ("image_id", "measured_at"),
    "decisions": ("image_id", "decided_at"),
    "reviews": ("image_id", "reviewed_at"),
    "golden": ("image_id", "set_at"),
    "appeals": ("image_id", "at"),
    "synthetics": ("image_id", "created_at"),
    "audits": ("image_id", "drawn_at"),
    "known_hashes": ("hash", "added_at"),
    "calibrations": ("calibration_id", "created_at"),
    "forgotten": ("image_id", "at"),
    "runs": ("run_id",),  # run ids sort by time
}

# Columns that may be missing in rows of older versions; read as null.
LATER: Final[dict[str, tuple[str, ...]]] = {
    "images": ("phash_of", "doubt"),
    "decisions": ("p_domain",),
    "calibrations": ("references", "real_distances"),
    "reviews": tuple(TABLES["reviews"].names[5:]),
}

# Order of the struct's fields and the metadata key follow `datasets.load_dataset("parquet", ...)`,
# which then opens a shard with an Image feature.
_FEATURES: Final = {"image_id": {"dtype": "string", "_type": "Value"}, "image": {"_type": "Image"}}
SHARD: Final[pa.Schema] = pa.schema(
    [
        _required("image_id", _TEXT),
        pa.field("image", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", _TEXT)])),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)

Row = dict[str, Any]
