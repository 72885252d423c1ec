"""The compact table of a scope: one row per image, sorted by id, as small as it can be held.

One row takes about 200 bytes, so that a lake of a million images fits into memory. Words with few
values are categories. The reasons of a decision are one category: their words, joined by spaces.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from ...data.schema import Label
from ...data.store.lake import Lake
from ..browse.images import Scope, known_images
from ..labels import best_labels, standing
from ..latest_rows import ROWS_AT_A_TIME, IdRange, Named, Part
from ..review.answers import all_answers
from .columns import DISPUTED, SCHEMA, UNLABELLED

_ANSWER: Final = ("image_id", "label", "reviewer", "reviewed_at", "answer_id", "withdraws")
_KNOWN: Final = set(SCHEMA.names()) - {"label", "evidence"}


def table_of(lake: Lake, scope: Scope, *, rows_at_a_time: int = ROWS_AT_A_TIME) -> pl.DataFrame:
    """Return the images of a scope, sorted by id; one part of the lake is joined at a time.

    Args:
        lake: Lake of the images.
        scope: Images, score key and policy.
        rows_at_a_time: Approximate number of images per part.
    """
    answers = all_answers(lake).select(_ANSWER).collect().lazy()
    count = max(1, -(-lake.n_rows("images") // rows_at_a_time))
    parts = [
        _rows(lake, scope, IdRange(index=index, count=count), answers) for index in range(count)
    ]
    return pl.concat(parts, rechunk=True)


def rows_of_images(lake: Lake, scope: Scope, image_ids: pl.Series) -> pl.DataFrame:
    """Return the rows of some images, sorted by id, without those outside the scope."""
    answers = all_answers(lake, image_ids.to_list()).select(_ANSWER)
    return _rows(lake, scope, Named(ids=tuple(image_ids)), answers)


def labels_of_images(lake: Lake, image_ids: pl.Series) -> pl.DataFrame:
    """Return image_id, label and evidence of some images, one row each."""
    wanted = pl.DataFrame({"image_id": image_ids.unique().sort()}).lazy()
    answers = all_answers(lake, image_ids.to_list()).select(_ANSWER)
    labels = _labels(lake, Named(ids=tuple(image_ids)), answers)
    rows = wanted.join(labels, on="image_id", how="left")
    return _with_state(rows).select(_cast("image_id", "label", "evidence")).collect()


def replaced(table: pl.DataFrame, image_ids: pl.Series, fresh: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the rows of some images replaced, still sorted by id.

    Args:
        table: Table in `columns.SCHEMA`.
        image_ids: Ids of images whose rows are out of date.
        fresh: Rows of these images; an id without a row leaves the table.
    """
    kept = table.filter(~pl.col("image_id").is_in(image_ids.implode()))
    return pl.concat([kept, fresh]).sort("image_id").rechunk()


def relabelled(table: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Return the table with other labels for some images.

    Args:
        table: Table in `columns.SCHEMA`.
        labels: Columns image_id, label and evidence; images outside the table are left out.
    """
    changed = table.filter(pl.col("image_id").is_in(labels["image_id"].implode()))
    fresh = changed.drop("label", "evidence").join(labels, on="image_id", how="inner")
    return replaced(table, fresh["image_id"], fresh.select(SCHEMA.names()))


def _rows(lake: Lake, scope: Scope, part: Part, answers: pl.LazyFrame) -> pl.DataFrame:
    here = answers.join(part.rows(lake, "images").select("image_id"), on="image_id", how="semi")
    rows = known_images(lake, scope, part=part, columns=_KNOWN).join(
        _labels(lake, part, here), on="image_id", how="left"
    )
    reasons = pl.col("reasons").list.join(" ")
    return (
        _with_state(rows)
        .with_columns(reasons=reasons, prob_fake=pl.col("prob_fake").fill_nan(None))
        .select(_cast(*SCHEMA))
        .sort("image_id")
        .collect()
    )


def _labels(lake: Lake, part: Part, answers: pl.LazyFrame) -> pl.LazyFrame:
    unsure = (
        standing(answers)
        .filter(pl.col("label") == Label.UNSURE.value)
        .select("image_id", is_unsure=pl.lit(value=True))
        .unique("image_id")
    )
    tables = (part.rows(lake, name) for name in ("synthetics", "sightings"))
    return best_labels(answers, *tables).join(unsure, on="image_id", how="full", coalesce=True)


def _with_state(rows: pl.LazyFrame) -> pl.LazyFrame:
    differ = pl.col("label_note").str.contains("disagree", literal=True).fill_null(value=False)
    state = (
        pl.when(pl.col("label").is_not_null())
        .then(pl.col("label"))
        .when(differ)
        .then(pl.lit(DISPUTED))
        .when(pl.col("is_unsure"))
        .then(pl.lit(Label.UNSURE.value))
        .otherwise(pl.lit(UNLABELLED))
    )
    return rows.with_columns(label=state, evidence=pl.col("label_evidence"))


def _cast(*names: str) -> list[pl.Expr]:
    return [pl.col(name).cast(SCHEMA[name]) for name in names]
