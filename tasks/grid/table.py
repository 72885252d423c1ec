"""The compact table of a scope: one row per image, sorted by id.

One row takes about 200 bytes, so that a lake of a million images fits into memory. Answers change
labels alone, and are laid over the labels that lineage and sources give.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from ...data.schema import TABLES
from ...data.store.lake import Lake
from ...data.vocabulary import Label
from ..browse.images import Scope, known_images
from ..labels import best_labels, standing
from ..latest_rows import ROWS_AT_A_TIME, IdRange, Named, Part
from ..review.answers import all_answers
from .columns import DISPUTED, EVIDENCE, SCHEMA, STATES, UNLABELLED

_ANSWER: Final = ("image_id", "label", "reviewer", "reviewed_at", "answer_id", "withdraws")
_LABELS: Final = ("label", "evidence", "label_before", "evidence_before")
_KNOWN: Final = set(SCHEMA.names()) - set(_LABELS)


def table_of(lake: Lake, scope: Scope, *, rows_at_a_time: int = ROWS_AT_A_TIME) -> pl.DataFrame:
    """Return the images of a scope, sorted by id; one part of the lake is joined at a time.

    Args:
        lake: Lake of the images.
        scope: Images, score key and policy.
        rows_at_a_time: Approximate number of images per part.
    """
    answers = all_answers(lake).select(_ANSWER).collect()
    count = max(1, -(-lake.n_rows("images") // rows_at_a_time))
    parts = [_rows(lake, scope, IdRange(index=index, count=count)) for index in range(count)]
    return _with_answers(pl.concat(parts, rechunk=True), answers["image_id"], answers)


def rows_of_images(lake: Lake, scope: Scope, image_ids: pl.Series) -> pl.DataFrame:
    """Return the rows of some images, sorted by id, without those outside the scope."""
    rows = _rows(lake, scope, Named(ids=tuple(image_ids)))
    return relabelled(lake, rows, image_ids)


def replaced(table: pl.DataFrame, image_ids: pl.Series, fresh: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the rows of some images replaced, still sorted by id.

    Args:
        table: Table in `columns.SCHEMA`.
        image_ids: Ids of images whose rows are out of date.
        fresh: Rows of these images; an id without a row leaves the table.
    """
    kept = table.filter(~pl.col("image_id").is_in(image_ids.implode()))
    return pl.concat([kept, fresh]).sort("image_id").rechunk()


def relabelled(lake: Lake, table: pl.DataFrame, image_ids: pl.Series) -> pl.DataFrame:
    """Return the table with the labels of some images by the answers that stand now.

    Args:
        lake: Lake of the answers.
        table: Table in `columns.SCHEMA`.
        image_ids: Ids of the images; those outside the table are left out.
    """
    answers = all_answers(lake, image_ids.to_list()).select(_ANSWER).collect()
    return _with_answers(table, image_ids, answers)


def _rows(lake: Lake, scope: Scope, part: Part) -> pl.DataFrame:
    """Return the rows of a part in `columns.SCHEMA`, with labels before any answer."""
    no_answers = pl.LazyFrame(schema=pl.Schema(TABLES["reviews"])).select(_ANSWER)
    tables = (part.rows(lake, name) for name in ("synthetics", "sightings"))
    rows = known_images(lake, scope, part=part, columns=_KNOWN).join(
        best_labels(no_answers, *tables), on="image_id", how="left"
    )
    state = (
        pl.when(pl.col("label").is_not_null())
        .then(pl.col("label"))
        .when(pl.col("label_note").is_not_null())
        .then(pl.lit(DISPUTED))
        .otherwise(pl.lit(UNLABELLED))
    )
    evidence = pl.col("label_evidence").fill_null(UNLABELLED)
    return (
        rows.with_columns(
            reasons=pl.col("reasons").list.join(" "),
            prob_fake=pl.col("prob_fake").fill_nan(None),
            label=state,
            evidence=evidence,
            label_before=state,
            evidence_before=evidence,
        )
        .select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
        .sort("image_id")
        .collect()
    )


def _with_answers(table: pl.DataFrame, image_ids: pl.Series, answers: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the labels of some images by answers, all of these images.

    People's agreed label stands above all; where they disagree, there is none. Without an answer
    that names a label, the label before stands, and `unsure` where there is none either.
    """
    ids = image_ids.unique().sort()
    if not table.height or ids.is_empty():
        return table
    found = table["image_id"].search_sorted(ids).to_numpy()
    places = np.minimum(found, table.height - 1)
    places = places[(table["image_id"][places] == ids).to_numpy()]
    rows = table[places].select("image_id", "label_before", "evidence_before")
    said = _said(answers.lazy()).collect()
    rows = rows.join(said, on="image_id", how="left", maintain_order="left")
    before = pl.col("label_before").cast(pl.String)
    fresh = rows.select(
        label=pl.when(pl.col("said").is_not_null())
        .then(pl.col("said"))
        .when((before == UNLABELLED) & pl.col("is_unsure"))
        .then(pl.lit(Label.UNSURE.value))
        .otherwise(before)
        .cast(pl.Enum(STATES)),
        evidence=pl.when(pl.col("said") == DISPUTED)
        .then(pl.lit(UNLABELLED))
        .when(pl.col("said").is_not_null())
        .then(pl.lit("review"))
        .otherwise(pl.col("evidence_before").cast(pl.String))
        .cast(pl.Enum(EVIDENCE)),
    )
    columns = []
    for name in ("label", "evidence"):
        codes = table[name].to_physical().to_numpy().copy()
        codes[places] = fresh[name].to_physical().to_numpy()
        columns.append(pl.Series(name, codes).cat.to(SCHEMA[name]))
    return table.with_columns(columns)


def _said(answers: pl.LazyFrame) -> pl.LazyFrame:
    """Return image_id, said (a label, `disputed`, or null) and is_unsure of images with answers."""
    nothing = (pl.LazyFrame(schema=pl.Schema(TABLES[name])) for name in ("synthetics", "sightings"))
    unsure = (
        standing(answers)
        .filter(pl.col("label") == Label.UNSURE.value)
        .select("image_id", is_unsure=pl.lit(value=True))
        .unique("image_id")
    )
    said = pl.when(pl.col("label").is_null()).then(pl.lit(DISPUTED)).otherwise("label")
    return (
        best_labels(answers, *nothing)
        .select("image_id", said=said)
        .join(unsure, on="image_id", how="full", coalesce=True)
        .with_columns(pl.col("is_unsure").fill_null(value=False))
    )
