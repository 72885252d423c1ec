"""Scores and embeddings of items as a frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.sources.items import Item, SourceOptions
from ...data.text.wording import counted
from ...data.vocabulary import ScoreStatus
from ...tasks.score_items import score_items
from .. import progress

if TYPE_CHECKING:
    from ...tasks.detector.detector import Detector


def scored_frame(
    detector: Detector,
    items: Iterable[Item],
    options: SourceOptions,
    *,
    n_workers: int | None,
) -> pl.DataFrame:
    """Return one row per item, in the order of the items; see `assay.score` for the columns.

    Args:
        detector: Detector that scores.
        items: Items to read.
        options: Settings of reading.
        n_workers: Number of threads; None: one per core.
    """
    watcher = progress.current()
    watcher.begin("score", None)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("source_uri", "image_id", "reason", "detail", "logit")
    }
    embeddings: list[NDArray[np.float32]] = []
    width = detector.embedding_dim
    missing = np.full(width, np.nan, np.float32)
    try:
        for done in score_items(detector, items, options, n_workers=n_workers):
            columns["source_uri"].append(done.source_uri)
            columns["image_id"].append(done.image_id)
            columns["reason"].append(done.reason)
            columns["detail"].append(done.detail)
            columns["logit"].append(done.logit)
            embeddings.append(missing if done.embedding is None else done.embedding)
            watcher.advance(1)
    except KeyboardInterrupt as error:
        error.add_note(
            f"{counted(len(embeddings), 'image was', 'images were')} scored, and"
            " nothing is kept without a lake"
        )
        raise
    watcher.end()
    matrix = np.vstack(embeddings) if embeddings else np.empty((0, width), np.float32)
    kind = pl.Array(pl.Float32, width)
    text = pl.String
    frame = pl.DataFrame(
        columns,
        schema={
            "source_uri": text,
            "image_id": text,
            "reason": text,
            "detail": text,
            "logit": pl.Float32,
        },
    )
    is_scored = pl.col("logit").is_not_null()
    status = (ScoreStatus.SCORED.value, ScoreStatus.FAILED.value)
    return frame.with_row_index("row").select(
        "row",
        "source_uri",
        "image_id",
        status=pl.when(is_scored).then(pl.lit(status[0])).otherwise(pl.lit(status[1])),
        reason="reason",
        detail="detail",
        logit="logit",
        prob_fake=(1 / (1 + (-pl.col("logit").cast(pl.Float64)).exp())).cast(pl.Float32),
        embedding=pl.when(is_scored).then(pl.Series("embedding", matrix, dtype=kind)),
    )
