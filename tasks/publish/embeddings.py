"""The embeddings of a published dataset, under the score key of its rows."""

from __future__ import annotations

import polars as pl

from ...data.errors import ConfigError, StoreError
from ...data.score_key import rows_that_count
from ...data.store.lake import Lake
from ..embeddings.rows import embedded
from .pinned import Pinned


def embedding_size(lake: Lake, pinned: Pinned) -> int:
    """Return the number of values per embedding under the score key of a publication.

    Args:
        lake: Lake of the scores.
        pinned: Table versions and score key.

    Raises:
        ConfigError: The scores have no embeddings.
        StoreError: The lake cannot be read.
    """
    if pinned.key is not None:
        rows = embedded(lake, pinned.key, pinned.versions["scores"])
        sizes = rows.select(pl.col("embedding").list.len()).head(1).collect()["embedding"]
        if len(sizes):
            return int(sizes[0])
    scores = "there are no scores" if pinned.key is None else f"by {pinned.key.describe()}"
    raise ConfigError(
        f"no image of {lake.uri} has an embedding ({scores}); publish without embeddings, or score"
        " with a detector that has them"
    )


def with_embeddings(lake: Lake, pinned: Pinned, rows: pl.DataFrame, size: int) -> pl.DataFrame:
    """Return rows with the column `embedding`, an array of float32; null without one.

    Args:
        lake: Lake of the scores.
        pinned: Table versions and score key.
        rows: Rows of `read_rows`; memory grows with their number, not with the lake.
        size: Number of values per embedding.

    Raises:
        StoreError: The lake cannot be read, or an embedding has another size.
    """
    if pinned.key is None:
        return rows
    scores = lake.rows_of("scores", rows["image_id"], version=pinned.versions["scores"])
    found = (
        rows_that_count(scores.filter(pinned.key.where()))
        .filter(pl.col("embedding").is_not_null() & pl.col("logit").is_not_null())
        .select("image_id", "embedding")
        .collect()
    )
    sizes = found["embedding"].list.len()
    if not (sizes == size).all():
        other = int(sizes.filter(sizes != size)[0])
        raise StoreError(
            f"the scores table has embeddings of {size} and of {other} numbers from one detector;"
            " restore the table, or publish without embeddings"
        )
    arrays = found.with_columns(pl.col("embedding").cast(pl.List(pl.Float32)).list.to_array(size))
    return rows.join(arrays, on="image_id", how="left", maintain_order="left")
