"""What a row is: the one source of every table's columns and of every closed vocabulary.

Nothing here reads or writes. Times are UTC microseconds; probabilities lie in [0, 1];
`*_px` are pixels of the picture as stored, before any rotation its metadata asks for.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final, Self

import pyarrow as pa


class Status(StrEnum):
    """What became of one input item."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class Explained(StrEnum):
    """A closed vocabulary whose every word comes with its text for people.

    A member is written `NAME = "word", "what a person reads"`; one without a text does not load.
    """

    text: str

    def __new__(cls, word: str, text: str) -> Self:
        """Make a member that is its word, and carries its text."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.text = text
        return member

    @classmethod
    def text_of(cls, word: str) -> str:
        """Return the text of a word in a table; the word itself where a newer assay wrote it."""
        return next((member.text for member in cls if member == word), word)


class Reason(Explained):
    """Why an item was rejected, is a duplicate, or could not be scored."""

    SAME_BYTES = "same_bytes", "the same bytes as another item"
    EMPTY = "empty", "no bytes"
    NOT_AN_IMAGE = "not_an_image", "not a picture"
    UNSUPPORTED_FORMAT = "unsupported_format", "a picture format that is not read"
    UNREADABLE = "unreadable", "damaged"
    TRUNCATED = "truncated", "cut off"
    TOO_MANY_PIXELS = "too_many_pixels", "larger than allowed when decoded"
    TOO_MANY_BYTES = "too_many_bytes", "a larger file than allowed"
    NOT_FOUND = "not_found", "not there"
    NOT_PERMITTED = "not_permitted", "may not be read"
    FETCH_FAILED = "fetch_failed", "could not be fetched"
    UNSAFE_PATH = "unsafe_path", "a path that leads outside its archive"
    UNSAFE_URL = "unsafe_url", "an address that is not allowed"
    BAD_ROW = "bad_row", "a row that names no picture"
    NON_FINITE_LOGIT = "non_finite_logit", "the detector gave no finite figure"
    OUT_OF_MEMORY = "out_of_memory", "there was not enough memory"
    NOT_MADE = "not_made", "a picture that was asked for and could not be made"
    BYTES_LOST = "bytes_lost", "it was stored, and its bytes were lost with a damaged file"


class ScoreStatus(StrEnum):
    """Whether the detector gave a logit."""

    SCORED = "scored"
    FAILED = "failed"


class Decision(StrEnum):
    """What the policy says to do with an image."""

    CLEAR = "clear"
    REVIEW = "review"
    FLAG = "flag"


class DecisionReason(Explained):
    """Why the policy decided so; a decision may have several. Reports list them in this order."""

    AT_OR_ABOVE_FLAG = "at_or_above_flag_threshold", "score at or above the flag threshold"
    IN_REVIEW_BAND = "in_review_band", "score in the review band"
    BELOW_REVIEW = "below_review_threshold", "score below the review threshold"
    VIEW_ABOVE_FLAG = (
        "view_at_or_above_flag_threshold",
        "a part of the picture scores at or above the flag threshold",
    )
    LOW_RESOLUTION = "low_resolution", "too small for the score to mean much"
    DECLARED_AI = "declared_ai", "its own metadata says machine-made"
    NOT_AS_SEEN = "not_as_seen", "people may see another picture than was scored"
    NOT_SCORED = "not_scored", "not scored"
    NO_DOMAIN_THRESHOLD = "no_threshold_for_domain", "no threshold for its domain"


class Doubt(Explained):
    """Why the picture that is scored may not be the one that a person sees."""

    TRANSPARENT = (
        "transparent",
        "what shows depends on what lies behind it, or hardly anything does",
    )
    NOT_A_FRAME = "not_a_frame", "an animation whose still picture is none of its frames"
    BLANK_FRAME = "blank_frame", "an animation whose first frame is blank"
    BRIEF_FRAME = "brief_frame", "an animation whose first frame is hardly seen"
    COLOURS = "colours", "viewers show colours far from those stored"


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


# A column that comes later is nullable: tables made before get it at their next append.
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
            # `image.UPRIGHT_PIXELS`; null: of pixels as stored, as earlier versions took it.
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
            # The rest of the score key; of rows that are older than these columns, `runs` has it.
            pa.field("weights_sha256", _TEXT),
            pa.field("profile", _TEXT),
            pa.field("precision", _TEXT),
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

# Columns that rows may leave out, as those of an older version do; null then.
LATER: Final[dict[str, tuple[str, ...]]] = {"images": ("phash_of", "doubt")}

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
