"""Decisions of made rows, and the recount of the page's script, written anew in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from assay.tasks.decide.decide import decide
from assay.tasks.decide.policy import Policy

DETECTOR = "mini@0123456789ab"
SCHEMA = {
    "prob_fake": pl.Float32,
    "view_prob": pl.Float64,
    "width_px": pl.Int32,
    "height_px": pl.Int32,
    "domain": pl.String,
    "label": pl.String,
    "ai_declared": pl.String,
    "doubt": pl.String,
}


def decided_under(images: Sequence[Mapping[str, Any]], policy: Policy) -> pl.DataFrame:
    """Return one row per image with the decision and reasons of a policy."""
    rows = pl.DataFrame(
        [{"width_px": 900, "height_px": 900} | dict(image) for image in images],
        schema=SCHEMA,
    )
    rows = rows.with_columns(
        image_id=pl.Series([f"{i:064x}" for i in range(len(images))]),
        detector=pl.lit(DETECTOR),
        status=pl.when(pl.col("prob_fake").is_null())
        .then(pl.lit("failed"))
        .otherwise(pl.lit("scored")),
    )
    return decide(rows, policy)


def recounted(cells: pl.DataFrame, edges: Sequence[Sequence[int] | None]) -> list[tuple[str, int]]:
    """Return the number of images per decision, without zeros; at None, those of the run."""
    counts: Counter[str] = Counter()
    for cell in cells.iter_rows(named=True):
        steps = edges[cell["group"]]
        if steps is None:
            counts[("clear", "review", "flag")[cell["decision"]]] += cell["n"]
            continue
        review, flag = steps
        if cell["kind"] < 3:
            decision = ("clear", "review", "flag")[cell["kind"]]
        elif cell["bin"] > flag:
            decision = "flag"
        elif cell["bin"] > review or cell["kind"] == 4 or cell["view"] > flag:
            decision = "review"
        else:
            decision = "clear"
        counts[decision] += cell["n"]
    return sorted(counts.items())
