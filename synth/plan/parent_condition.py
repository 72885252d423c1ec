"""The condition of a plan on its parents."""

from __future__ import annotations

from typing import Final

import polars as pl

from ...data import sql_condition

PARENT_SCHEMA: Final = pl.Schema(
    {
        "image_id": pl.String(),
        "label": pl.String(),
        "prob_fake": pl.Float32(),
        "logit": pl.Float32(),
        "domain": pl.String(),
        "source_uri": pl.String(),
        "format": pl.String(),
        "width_px": pl.Int32(),
        "height_px": pl.Int32(),
        "n_bytes": pl.Int64(),
        "jpeg_quality": pl.Int32(),
        "ai_declared": pl.String(),
    }
)
"""Columns that a condition may use."""


def parse_condition(where: str) -> pl.Expr:
    """Parse a condition into an expression on `PARENT_SCHEMA`; see `sql_condition`.

    Raises:
        ConfigError: The text is no such condition.
    """
    return sql_condition.parse_condition(where, PARENT_SCHEMA)
