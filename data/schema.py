"""What a row is: the one source of every table's columns and of every closed vocabulary.

Nothing here reads or writes. Times are UTC microseconds; probabilities lie in [0, 1];
`*_px` are pixels of the picture as stored, before any rotation its metadata asks for.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa


class Status(StrEnum):
    """What became of one input item."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why an item was rejected, is a duplicate, or could not be scored."""

    SAME_BYTES = "same_bytes"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_BYTES = "too_many_bytes"
    NOT_FOUND = "not_found"
    NOT_PERMITTED = "not_permitted"
    FETCH_FAILED = "fetch_failed"
    UNSAFE_PATH = "unsafe_path"
    UNSAFE_URL = "unsafe_url"
    BAD_ROW = "bad_row"
    NON_FINITE_LOGIT = "non_finite_logit"
    OUT_OF_MEMORY = "out_of_memory"
    NOT_MADE = "not_made"


class ScoreStatus(StrEnum):
    """Whether the detector gave a logit."""

    SCORED = "scored"
    FAILED = "failed"


class Decision(StrEnum):
    """What the policy says to do with an image."""

    CLEAR = "clear"
    REVIEW = "review"
    FLAG = "flag"


class DecisionReason(StrEnum):
    """Why the policy decided so; a decision may have several."""

    AT_OR_ABOVE_FLAG = "at_or_above_flag_threshold"
    IN_REVIEW_BAND = "in_review_band"
    BELOW_REVIEW = "below_review_threshold"
    LOW_RESOLUTION = "low_resolution"
    DECLARED_AI = "declared_ai"
    NOT_SCORED = "not_scored"
    NO_DOMAIN_THRESHOLD = "no_threshold_for_domain"
    VIEW_ABOVE_FLAG = "view_at_or_above_flag_threshold"


class Label(StrEnum):
    """What a person or a source says an image is."""

    REAL = "real"
    FAKE = "fake"
    LAUNDERED = "laundered"
    UNSURE = "unsure"


_TIME: Final = pa.timestamp("us", tz="UTC")
_TEXT: Final = pa.string()


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


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
            pa.field("jpeg_quality", pa.int32()),
            pa.field(
                "capture",
                pa.struct(
                    [pa.field("make", _TEXT), pa.field("model", _TEXT), pa.field("software", _TEXT)]
                ),
            ),
            pa.field("ai_declared", _TEXT),
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
            _required("image_id", _TEXT),
            _required("detector", _TEXT),
            _required("weights_sha256", _TEXT),
            _required("profile", _TEXT),
            _required("backend", _TEXT),
            _required("precision", _TEXT),
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
            _required("image_id", _TEXT),
            _required("detector", _TEXT),
            _required("weights_sha256", _TEXT),
            _required("profile", _TEXT),
            _required("backend", _TEXT),
            _required("precision", _TEXT),
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
    "decisions": pa.schema(
        [
            _required("image_id", _TEXT),
            _required("detector", _TEXT),
            _required("policy_id", _TEXT),
            pa.field("calibration_id", _TEXT),
            pa.field("prob_calibrated", pa.float32()),
            _required("decision", _TEXT),
            _required("reasons", pa.list_(_TEXT)),
            pa.field("group_id", _TEXT),
            _required("run_id", _TEXT),
            _required("decided_at", _TIME),
        ]
    ),
    "reviews": pa.schema(
        [
            _required("image_id", _TEXT),
            _required("label", _TEXT),
            _required("reviewer", _TEXT),
            pa.field("note", _TEXT),
            _required("reviewed_at", _TIME),
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

# A shard is what `datasets.load_dataset("parquet", ...)` opens with an Image feature:
# the struct's field order and the metadata key are that library's convention.
SHARD: Final[pa.Schema] = pa.schema(
    [
        _required("image_id", _TEXT),
        pa.field("image", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", _TEXT)])),
    ],
    metadata={
        "huggingface": json.dumps(
            {
                "info": {
                    "features": {
                        "image_id": {"dtype": "string", "_type": "Value"},
                        "image": {"_type": "Image"},
                    }
                }
            }
        )
    },
)

Row = dict[str, Any]
