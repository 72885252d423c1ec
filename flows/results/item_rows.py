"""Rows of a run: one per item in the order of its source, with score, decision and label."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ...data.vocabulary import Reason
from ...tasks.browse.find_image import find_image
from ...tasks.embeddings.rows import distinct_batches, embedded
from ...tasks.latest_rows import WHOLE, Named, latest_items, latest_scores
from ...tasks.runs.run_record import RunRecord, run_images

COLUMNS: Final = (
    "row",
    "source_uri",
    "status",
    "reason",
    "detail",
    "image_id",
    "prob_fake",
    "logit",
    "decision",
    "reasons",
    "score_status",
    "score_reason",
    "domain",
    "label",
    "label_evidence",
)


def item_rows(lake: Lake, run: RunRecord) -> pl.DataFrame:
    """Return one row per item of a run, or per image for a run over the whole lake.

    Rows are in the order of their addresses, with numbers in the order of numbers: the rows of a
    table or of a list in memory are in its own order.

    Args:
        lake: Lake of the run.
        run: Record of the run.

    Returns:
        Columns `COLUMNS`. `row` counts from 0; `status`, `reason` and `detail` are those of the
        item, and all others those of its image, null for a rejected item.
    """
    images = run_images(lake, run)
    if run.batch_id is None:
        items = images.select(
            "image_id",
            "source_uri",
            *(pl.lit(None, pl.String).alias(name) for name in ("status", "reason", "detail")),
        )
    else:
        items = latest_items(lake, run.batch_id).select(
            "image_id", "source_uri", "status", "reason", "detail"
        )
    if run.key is not None:
        ids = items.select(pl.col("image_id").drop_nulls().unique()).collect()["image_id"]
        part = WHOLE if run.batch_id is None else Named(ids=tuple(ids))
        logits = latest_scores(lake, run.key, part=part).select("image_id", "logit")
        images = images.join(logits, on="image_id", how="left")
    else:
        images = images.with_columns(logit=pl.lit(None, pl.Float32))
    joined = items.join(images.drop("source_uri"), on="image_id", how="left")
    return (
        joined.sort(_in_order(), nulls_last=False).collect().with_row_index("row").select(COLUMNS)
    )


def _in_order() -> list[pl.Expr]:
    """Return the sort keys: container, row and part of `parquet:///x!17/0`, else the URI."""
    uri = pl.col("source_uri")
    numbered = r"^(.*[!#])(\d{1,15})(?:/(\d{1,9}))?$"
    container, row, part = (uri.str.extract(numbered, group) for group in (1, 2, 3))
    return [
        pl.coalesce(container, uri),
        row.cast(pl.Int64),
        part.cast(pl.Int64),
        uri,
    ]


def embedding_matrix(lake: Lake, key: ScoreKey | None, ids: pl.Series) -> NDArray[np.float32]:
    """Return the embeddings of images as a matrix (N, D); a row without one is NaN.

    Args:
        lake: Lake of the scores.
        key: Key of the embeddings; None for a run without scores.
        ids: Ids of the images, or null, one per row.
    """
    wanted = ids.drop_nulls().unique()
    rows = ids.rename("image_id").to_frame().with_row_index("at")
    matrix: NDArray[np.float32] | None = None
    if key is not None and len(wanted):
        for found, vectors in distinct_batches(embedded(lake, key), wanted):
            if matrix is None:
                matrix = np.full((len(ids), vectors.shape[1]), np.nan, np.float32)
            here = rows.join(found.to_frame().with_row_index("of"), on="image_id", how="inner")
            matrix[here["at"].to_numpy()] = vectors[here["of"].to_numpy()]
    return np.empty((len(ids), 0), np.float32) if matrix is None else matrix


def with_embeddings(lake: Lake, key: ScoreKey | None, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the column `embedding`, an array of D numbers, null for none.

    Args:
        lake: Lake of the scores.
        key: Key of the embeddings; None for a run without scores.
        rows: Rows of `item_rows`.
    """
    matrix = embedding_matrix(lake, key, rows["image_id"])
    kind = pl.Array(pl.Float32, matrix.shape[1])
    has_one = pl.Series(~np.isnan(matrix).any(axis=1) & (matrix.shape[1] > 0))
    column = pl.Series("embedding", matrix, dtype=kind)
    return rows.with_columns(embedding=pl.when(has_one).then(column))


def image_at(lake: Lake, run: RunRecord, item: int | str) -> str:
    """Return the id of an image of a run.

    Args:
        lake: Lake of the run.
        run: Record of the run.
        item: Number of a row, negative from the end; or what names an image: the start of its id,
            its URI, or the end of its path.

    Raises:
        InputError: There is no such row or image, or the item has no image.
    """
    if isinstance(item, str):
        return find_image(lake, item)
    rows = item_rows(lake, run)
    n_rows = len(rows)
    if not -n_rows <= item < n_rows:
        raise InputError(f"there is no row {item}; the run has {counted(n_rows, 'row')}, from 0")
    row = rows.row(item, named=True)
    if row["image_id"] is None:
        reason = row["reason"]
        raise InputError(
            f"row {row['row']} ({row['source_uri']}) has no image: {Reason.text_of(reason)}"
            f" ({reason}); {row['detail'] or 'no detail'}"
        )
    return str(row["image_id"])
