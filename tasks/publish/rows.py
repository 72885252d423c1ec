"""The rows of a published dataset: columns, Hugging Face features and values.

`FEATURES` is the only list of columns; the Arrow schema, the metadata for `datasets` and the YAML
of the card are derived from it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import polars as pl

from ...data.schema import TABLES
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.vocabulary import Decision
from ..labels import CLASSES, best_labels
from ..latest_rows import (
    WHOLE,
    Named,
    Part,
    latest_decisions,
    latest_scores,
    latest_sightings,
)
from .pinned import Pinned

if TYPE_CHECKING:
    from datasets import Features

UNLABELLED: Final = -1
ORIGINAL: Final = "original"
"""Encoding of a published image whose bytes are those of the lake."""
_EXTENSIONS: Final = {"JPEG": "jpg", "TIFF": "tif"}

# Types by their names in `datasets`, except `image`, `class` and `list<string>`.
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
    "encoding": "string",
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


def features(embedding_size: int | None = None) -> Features:
    """Return the columns as features of `datasets`.

    Args:
        embedding_size: Number of values in the column `embedding`; None: there is no such column.
    """
    from datasets import ClassLabel, Features, Image, List, Value

    special = {
        "image": Image(),
        "class": ClassLabel(names=list(CLASSES)),
        "list<string>": List(Value("string")),
    }
    columns = {name: special.get(kind) or Value(kind) for name, kind in FEATURES.items()}
    if embedding_size is not None:
        columns["embedding"] = List(Value("float32"), length=embedding_size)
    return Features(columns)


def read_rows(
    lake: Lake, pinned: Pinned, image_ids: pl.Series, columns: Collection[str] | None = None
) -> pl.DataFrame:
    """Return the columns of images without the bytes, one row per image.

    Args:
        lake: Lake of the images.
        pinned: Table versions, score key and policy.
        image_ids: Ids of the images; memory grows with their number, not with the lake.
        columns: Columns to return; tables without any of them are not read. None for all.

    Returns:
        Columns of `FEATURES` without `image` and `group_id`, with `label` as a class index
        (`UNLABELLED` without a label) and `path`.

    Raises:
        StoreError: The lake cannot be read.
    """
    part = Named(ids=tuple(image_ids))
    wanted = image_ids.rename("image_id").to_frame().lazy()
    frame = part.rows(lake, "images", pinned.versions["images"]).unique("image_id", keep="any")
    needed = None if columns is None else {*columns}
    if needed is not None and "policy_id" in needed:
        needed.add("decision")
    joined = {"image_id"}
    for more in (
        read_labels(lake, pinned, wanted),
        _scores(lake, pinned, part),
        _decisions(lake, pinned, part),
        _domains(lake, pinned, part),
        _synthetics(lake, pinned, part),
    ):
        names = {*more.collect_schema().names()} - {"image_id"}
        if needed is None or needed & names:
            frame = frame.join(more, on="image_id", how="left")
            joined |= names
    index = {label: number for number, label in enumerate(CLASSES)}
    derived = {
        "label": pl.col("label").replace_strict(index, default=UNLABELLED, return_dtype=pl.Int64),
        "is_synthetic": pl.col("is_synthetic").fill_null(value=False),
    }
    frame = frame.with_columns(
        **{name: value for name, value in derived.items() if name in joined},
        encoding=pl.lit(ORIGINAL),
        path=pl.col("image_id").str.head(16)
        + pl.lit(".")
        + pl.col("format").replace(_EXTENSIONS).str.to_lowercase(),
    )
    if "decision" in joined:
        is_decided = pl.col("decision").is_not_null()
        frame = frame.with_columns(policy_id=pl.when(is_decided).then(pl.lit(pinned.policy_id)))
    return (frame if columns is None else frame.select(columns)).collect()


def read_labels(lake: Lake, pinned: Pinned, wanted: pl.LazyFrame) -> pl.LazyFrame:
    """Return the label of each image with any, as published.

    Args:
        lake: Lake of the images.
        pinned: Table versions, score key and policy.
        wanted: Column image_id of the images, each once.

    Returns:
        Columns image_id, label (text, or null), label_evidence and label_note.
    """
    labels = best_labels(
        _some(lake, pinned, "reviews", wanted),
        _some(lake, pinned, "synthetics", wanted),
        _some(lake, pinned, "sightings", wanted),
    )
    if not pinned.labels_from_decisions:
        return labels
    frame = wanted.join(labels, on="image_id", how="left")
    decided = frame.join(_decisions(lake, pinned), on="image_id", how="left")
    return _with_pseudo_labels(decided).drop("decision")


def with_label_text(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the label as text; null without one."""
    names = dict(enumerate(CLASSES)) | {UNLABELLED: None}
    return rows.with_columns(
        pl.col("label").replace_strict(names, default=None, return_dtype=pl.String)
    )


def _some(lake: Lake, pinned: Pinned, table: str, wanted: pl.LazyFrame) -> pl.LazyFrame:
    return pinned.scan(lake, table).join(wanted, on="image_id", how="semi")


def _scores(lake: Lake, pinned: Pinned, part: Part) -> pl.LazyFrame:
    """Return the scores with their keys and backends; images without a score are left out."""
    names = ("image_id", "logit", "prob_fake", *ScoreKey.columns(), "backend")
    if pinned.key is None:
        return _nothing("scores", *names)
    rows = latest_scores(lake, pinned.key, part=part, version=pinned.versions["scores"])
    return rows.filter(pl.col("logit").is_not_null()).select(names)


def _decisions(lake: Lake, pinned: Pinned, part: Part = WHOLE) -> pl.LazyFrame:
    if pinned.key is None or pinned.policy_id is None:
        return _nothing("decisions", "image_id", "decision")
    rows = latest_decisions(
        lake,
        pinned.key,
        policy_id=pinned.policy_id,
        part=part,
        version=pinned.versions["decisions"],
    )
    return rows.select("image_id", "decision")


def _nothing(table: str, *names: str) -> pl.LazyFrame:
    return pl.LazyFrame(schema=pl.Schema(TABLES[table])).select(names or TABLES[table].names)


def _domains(lake: Lake, pinned: Pinned, part: Part) -> pl.LazyFrame:
    rows = latest_sightings(lake, part=part, version=pinned.versions["sightings"])
    return rows.select("image_id", "domain")


def _synthetics(lake: Lake, pinned: Pinned, part: Part) -> pl.LazyFrame:
    names = ("parent_id", "method", "generator", "lora", "prompt", "seed", "license_flags")
    version = pinned.versions["synthetics"]
    # A table that was empty then may have rows now.
    rows = part.rows(lake, "synthetics", version) if version is not None else _nothing("synthetics")
    return (
        rows.sort("created_at", maintain_order=True)
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
    # Only without any evidence: the detector does not settle a disagreement.
    is_open = pl.col("label").is_null() & pl.col("label_note").is_null() & guess.is_not_null()
    return frame.with_columns(
        label=pl.when(is_open).then(guess).otherwise("label"),
        label_evidence=pl.when(is_open).then(pl.lit("decision")).otherwise("label_evidence"),
    )
