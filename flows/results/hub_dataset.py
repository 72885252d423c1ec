"""Images and rows of a run as a `datasets.Dataset` of Hugging Face, kept in its cache on disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ...data.store.lake import Lake

if TYPE_CHECKING:
    import datasets

_COLUMNS: Final = (
    *("image_id", "source_uri", "prob_fake", "logit", "decision", "reasons"),
    *("domain", "label", "label_evidence"),
)
_IMAGES_AT_A_TIME: Final = 256


def dataset_of(lake_uri: str, rows: pl.DataFrame) -> datasets.Dataset:
    """Return a dataset with one row per item that has an image, the encoded bytes as stored.

    The images are copied into the cache of `datasets`, a few at a time; equal rows of a lake are
    copied once.

    Args:
        lake_uri: Folder of the lake, or its s3:// prefix.
        rows: Rows of `item_rows.item_rows`.

    Raises:
        StoreError: The bytes of an image cannot be read.
    """
    import datasets

    kept = rows.filter(pl.col("image_id").is_not_null()).select(_COLUMNS)
    number, text = datasets.Value("float32"), datasets.Value("string")
    kinds = {"prob_fake": number, "logit": number, "reasons": datasets.List(text)}
    features = datasets.Features(
        {"image": datasets.Image()} | {name: kinds.get(name, text) for name in _COLUMNS}
    )
    content = io.BytesIO(lake_uri.encode())
    kept.write_ipc(content)
    made: datasets.Dataset = datasets.Dataset.from_generator(
        _examples,
        features=features,
        gen_kwargs={"lake_uri": lake_uri, "rows": kept},
        fingerprint=hashlib.sha256(content.getvalue()).hexdigest()[:16],
    )
    return made


def _examples(lake_uri: str, rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    lake = Lake(lake_uri, create=False)
    for part in rows.iter_slices(_IMAGES_AT_A_TIME):
        raws = dict(lake.images(part["image_id"].unique(maintain_order=True).to_list()))
        for row in part.iter_rows(named=True):
            yield {"image": {"bytes": raws[row["image_id"]], "path": None}} | row
