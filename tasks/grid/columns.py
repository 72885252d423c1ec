"""Columns of the compact table: one row per image, as small as it can be held.

Words with few values are categories. The reasons of a decision are one category: their words,
joined by spaces.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from ...data.vocabulary import Label

UNLABELLED: Final = "none"
DISPUTED: Final = "disputed"
STATES: Final = (*(label.value for label in Label), DISPUTED, UNLABELLED)
"""States of a label: a word of `Label`, `disputed` (people or sources differ), or `none`."""

EVIDENCE: Final = ("review", "synthetic", "source", UNLABELLED)
"""What a label rests on; `none` without a label."""

SCHEMA: Final = pl.Schema(
    {
        "image_id": pl.String(),
        "decision": pl.Categorical(),
        "reasons": pl.Categorical(),
        "prob_fake": pl.Float32(),
        "label": pl.Enum(STATES),
        "evidence": pl.Enum(EVIDENCE),
        "label_before": pl.Enum(STATES),
        "evidence_before": pl.Enum(EVIDENCE),
        "domain": pl.Categorical(),
        "source_uri": pl.String(),
        "seen_at": pl.Datetime("us", "UTC"),
        "format": pl.Categorical(),
        "width_px": pl.Int32(),
        "height_px": pl.Int32(),
        "ai_declared": pl.Categorical(),
        "doubt": pl.Categorical(),
    }
)
"""Columns of the table, with the label as it is, and as it would be without people's answers."""
