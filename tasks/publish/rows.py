"""What a published row says of a picture: the columns, their Hugging Face features, their values.

`FEATURES` is the one list of columns; the Arrow schema, the metadata that `datasets` reads
and the card's YAML all come from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from ...data.schema import TABLES, Decision
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..labels import CLASSES, best_labels
from ..latest_rows import latest_decisions, latest_scores, latest_sightings

if TYPE_CHECKING:
    from datasets import Features

UNLABELLED: Final = -1
_EXTENSIONS: Final = {"JPEG": "jpg", "TIFF": "tif"}

# image, class and list are special; the rest are Arrow types by the names of `datasets`.
FEATURES: Final[dict[str, str]] = {
    "image": "image",
    "image_id": "string",
    "label": "class",
    "label_evidence": "string",
    "label_note": "string",
    "decision": "string",
    "prob_fake": "float32",
    "logit": "float32",
    "detector": "string",
    "weights_sha256": "string",
    "profile": "string",
    "precision": "string",
    "backend": "string",
    "policy_id": "string",
    "domain": "string",
    "group_id": "string",
    "phash": "string",
    "width_px": "int32",
    "height_px": "int32",
    "format": "string",
    "ai_declared": "string",
    "is_synthetic": "bool",
    "synthetic_parent_id": "string",
    "synthetic_method": "string",
    "synthetic_generator": "string",
    "synthetic_lora": "string",
    "synthetic_prompt": "string",
    "synthetic_seed": "int64",
    "synthetic_license_flags": "list<string>",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What a publication reads: table versions, and whose scores and decisions.

    `key` is None when nothing was ever scored, `policy_id` when nothing was decided.
    """

    versions: Mapping[str, int | None]
    key: ScoreKey | None
    policy_id: str | None
    labels_from_decisions: bool = False


def features() -> Features:
    """Return the columns as `datasets` knows them: their Arrow schema and the card follow."""
    from datasets import ClassLabel, Features, Image, List, Value

    special = {
        "image": Image(),
        "class": ClassLabel(names=list(CLASSES)),
        "list<string>": List(Value("string")),
    }
    return Features({name: special.get(kind) or Value(kind) for name, kind in FEATURES.items()})


def read_rows(lake: Lake, pinned: Pinned, image_ids: pl.Series) -> pl.DataFrame:
    """Read everything but the picture's bytes, one row per image, `label` as a class index.

    Args:
        lake: Lake of the tables.
        pinned: At which versions, and whose scores.
        image_ids: Which images; memory is in proportion to them, not to the lake.
    """
    wanted = image_ids.rename("image_id").to_frame().lazy()
    frame = _some(lake, pinned, "images", wanted).unique(subset=["image_id"], keep="any")
    for more in (
        _labels(lake, pinned, wanted),
        _scores(lake, pinned).join(wanted, on="image_id", how="semi"),
        _decisions(lake, pinned).join(wanted, on="image_id", how="semi"),
        _domains(lake, pinned, wanted),
        _synthetics(lake, pinned, wanted),
    ):
        frame = frame.join(more, on="image_id", how="left")
    if pinned.labels_from_decisions:
        frame = _with_pseudo_labels(frame)
    index = {label: number for number, label in enumerate(CLASSES)}
    return frame.with_columns(
        pl.col("label").replace_strict(index, default=UNLABELLED, return_dtype=pl.Int64),
        pl.col("is_synthetic").fill_null(value=False),
        policy_id=pl.when(pl.col("decision").is_not_null()).then(pl.lit(pinned.policy_id)),
        path=pl.col("image_id").str.head(16)
        + pl.lit(".")
        + pl.col("format").replace(_EXTENSIONS).str.to_lowercase(),
    ).collect()


def _some(lake: Lake, pinned: Pinned, table: str, wanted: pl.LazyFrame) -> pl.LazyFrame:
    return lake.scan(table, pinned.versions[table]).join(wanted, on="image_id", how="semi")


def _labels(lake: Lake, pinned: Pinned, wanted: pl.LazyFrame) -> pl.LazyFrame:
    return best_labels(
        _some(lake, pinned, "reviews", wanted),
        _some(lake, pinned, "synthetics", wanted),
        _some(lake, pinned, "sightings", wanted),
    )


def _scores(lake: Lake, pinned: Pinned) -> pl.LazyFrame:
    """Return scores, and what each was made by; a picture without a score has neither."""
    names = ("image_id", "logit", "prob_fake", *ScoreKey.columns(), "backend")
    if pinned.key is None:
        return _nothing("scores", *names)
    rows = latest_scores(lake, pinned.key, version=pinned.versions["scores"])
    return rows.filter(pl.col("logit").is_not_null()).select(names)


def _decisions(lake: Lake, pinned: Pinned) -> pl.LazyFrame:
    if pinned.key is None or pinned.policy_id is None:
        return _nothing("decisions", "image_id", "decision")
    rows = latest_decisions(
        lake, pinned.key, policy_id=pinned.policy_id, version=pinned.versions["decisions"]
    )
    return rows.select("image_id", "decision")


def _nothing(table: str, *names: str) -> pl.LazyFrame:
    return pl.LazyFrame(schema=pl.Schema(TABLES[table])).select(names)


def _domains(lake: Lake, pinned: Pinned, wanted: pl.LazyFrame) -> pl.LazyFrame:
    rows = latest_sightings(lake, version=pinned.versions["sightings"])
    return rows.join(wanted, on="image_id", how="semi").select("image_id", "domain")


def _synthetics(lake: Lake, pinned: Pinned, wanted: pl.LazyFrame) -> pl.LazyFrame:
    names = ("parent_id", "method", "generator", "lora", "prompt", "seed", "license_flags")
    return (
        _some(lake, pinned, "synthetics", wanted)
        .sort("created_at", maintain_order=True)
        .unique(subset=["image_id"], keep="last")
        .select(
            "image_id",
            *(pl.col(name).alias(f"synthetic_{name}") for name in names),
            is_synthetic=pl.lit(value=True),
        )
    )


def _with_pseudo_labels(frame: pl.LazyFrame) -> pl.LazyFrame:
    guess = (
        pl.when(pl.col("decision") == Decision.FLAG.value)
        .then(pl.lit("fake"))
        .when(pl.col("decision") == Decision.CLEAR.value)
        .then(pl.lit("real"))
    )
    # Only where nobody said anything: a disagreement is not settled by the detector.
    is_open = pl.col("label").is_null() & pl.col("label_note").is_null() & guess.is_not_null()
    return frame.with_columns(
        label=pl.when(is_open).then(guess).otherwise("label"),
        label_evidence=pl.when(is_open).then(pl.lit("decision")).otherwise("label_evidence"),
    )
