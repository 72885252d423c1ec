"""Embeddings of a lake: their score key, and reading them in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from ...data.commands import command
from ...data.errors import ConfigError, InputError, StoreError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.store.lookup import wide_rows_of
from ...data.user_paths import from_home
from ...data.vocabulary import ScoreStatus
from ..detector.weights.locate import has_name
from ..latest_rows import WHOLE, Part, last_judgement, named
from .neighbours import Vectors

BATCH_ROWS: Final = 8192


def embedded(
    lake: Lake, key: ScoreKey, version: int | None = None, *, part: Part = WHOLE
) -> pl.LazyFrame:
    """Return the rows of `scores` under a key that have an embedding.

    Only embeddings of the same key are comparable.

    Args:
        lake: Lake of the scores.
        key: Score key of the embeddings.
        version: Version of the table; None: the latest.
        part: Part of the images.
    """
    return _with_embedding(part.rows(lake, "scores", version)).filter(key.where())


def embedded_of(lake: Lake, key: ScoreKey, image_ids: Sequence[str]) -> pl.LazyFrame:
    """Return the rows of `embedded` of some images, by less reading if they are few.

    Raises:
        StoreError: The embeddings cannot be read.
    """
    columns = ["image_id", "status", "embedding", *ScoreKey.columns()]
    found = wide_rows_of(lake.tables, "scores", image_ids, columns)
    return _with_embedding(found.lazy()).filter(key.where())


def latest_embedded(lake: Lake, detector: str | None = None) -> ScoreKey:
    """Return the key whose embeddings were last written, or last used by a run that wrote none.

    Args:
        lake: Lake to look in.
        detector: Name, id as in the tables, or folder of a checkpoint; None: any detector.

    Raises:
        InputError: No image of the lake has an embedding.
        ConfigError: No image of the lake was scored by that detector.
        ModelError: The folder holds no checkpoint.
    """
    known_as = None if detector is None else _id_in_folder(detector)
    # A registered name means its latest revision with scores in this lake.
    latest = _last_written(lake, named(known_as))
    key = None if latest.is_empty() else ScoreKey.of(latest.row(0, named=True))
    last = last_judgement(lake, detector=known_as)
    # The last run may have written no row, since every image had a score already.
    if (
        last is not None
        and last.key != key
        and not latest.filter(pl.col("scored_at") < last.at).is_empty()
        and not embedded(lake, last.key).head(1).collect().is_empty()
    ):
        return last.key
    if key is None:
        seen = (
            _any_embedded(lake).select("detector").unique().collect()["detector"].sort().to_list()
        )
        if detector is not None and seen:
            raise ConfigError(
                f"no image of {lake.uri} was scored by {detector!r}; allowed: {', '.join(seen)}"
            )
        raise InputError(
            f"no image of {lake.uri} has an embedding yet; run: {command('score', lake=lake.uri)}"
            " (or compare by perceptual hash alone: --by phash)"
        )
    return key


def _last_written(lake: Lake, where: pl.Expr) -> pl.DataFrame:
    """Return time and key of the last score with an embedding that meets a condition."""
    # Embeddings are most of the table, so the last score is found without them.
    scored = lake.scan("scores").filter(where & (pl.col("status") == ScoreStatus.SCORED.value))
    last = scored.select("image_id", "scored_at", *ScoreKey.columns()).top_k(1, by="scored_at")
    row = last.collect()
    if row.is_empty():
        return row.drop("image_id")
    its_own = _with_embedding(lake.rows_of("scores", row["image_id"])).filter(
        where & (pl.col("scored_at") == row["scored_at"][0])
    )
    if its_own.head(1).collect().is_empty():  # by a detector without embeddings
        row = _any_embedded(lake).filter(where).top_k(1, by="scored_at").collect()
    return row.select("scored_at", *ScoreKey.columns())


def count_embedded(lake: Lake, key: ScoreKey) -> int:
    """Count the images that have an embedding under a key."""
    return int(embedded(lake, key).select(pl.col("image_id").n_unique()).collect().item())


def embedding_batches(rows: pl.LazyFrame) -> Iterator[tuple[pl.Series, Vectors]]:
    """Yield ids and embeddings in batches of up to 8192 rows, shapes (N,) and (N, D).

    An image occurs once per row. A batch of 8192 embeddings of dimension 384 takes 13 MB.

    Raises:
        StoreError: The embeddings have different lengths.
    """
    selected = rows.select("image_id", "embedding")
    width: int | None = None
    for batch in selected.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
        if batch.is_empty():
            continue
        lengths = batch["embedding"].list.len()
        width = width or int(lengths[0])
        if not (lengths == width).all():
            other = int(lengths.filter(lengths != width)[0])
            raise StoreError(
                f"the scores table has embeddings of {width} and of {other} numbers from one"
                " detector; restore the table, or score again with one detector"
            )
        vectors = batch["embedding"].list.to_array(width).to_numpy()
        yield batch["image_id"], vectors.astype(np.float32, copy=False)


def distinct_batches(
    rows: pl.LazyFrame, image_ids: pl.Series
) -> Iterator[tuple[pl.Series, Vectors]]:
    """Yield ids and embeddings of some images only, each image once.

    Args:
        rows: Rows from `embedded`.
        image_ids: Ids of the images.
    """
    wanted = image_ids.rename("image_id").unique().to_frame()
    for ids, vectors in embedding_batches(rows):
        here = (
            ids.to_frame()
            .with_row_index("at")
            .unique("image_id", keep="first", maintain_order=True)
            .join(wanted, on="image_id", how="semi", maintain_order="left")
        )
        if not here.is_empty():
            wanted = wanted.join(here, on="image_id", how="anti")
            yield here["image_id"], vectors[here["at"].to_numpy()]


def vectors_of(lake: Lake, key: ScoreKey, image_ids: Sequence[str]) -> dict[str, Vectors]:
    """Return the embeddings of some images, each (D,); images without one are left out."""
    return {
        image_id: vector
        for ids, vectors in embedding_batches(embedded_of(lake, key, image_ids))
        for image_id, vector in zip(ids, vectors, strict=True)
    }


def _any_embedded(lake: Lake, version: int | None = None) -> pl.LazyFrame:
    return _with_embedding(lake.scan("scores", version))


def _with_embedding(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.filter(
        (pl.col("status") == ScoreStatus.SCORED.value) & pl.col("embedding").is_not_null()
    )


def _id_in_folder(detector: str) -> str:
    if has_name(detector) or not from_home(detector).is_dir():
        return detector
    from ..detector.weights.checkpoint import find_checkpoint

    return find_checkpoint(detector).detector_id
