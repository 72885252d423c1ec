"""The key of a score, and the choice of one row per image under one key.

The score of an image depends on weights, preprocessing and precision. Code that reads or writes
scores, views, decisions or embeddings therefore takes the whole key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import polars as pl

from .schema import Row
from .vocabulary import ScoreStatus

UNVERIFIED: Final = "unverified:"
"""Prefix of `weights_sha256` for a detector without weights files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreKey:
    """Columns of `scores`, `views` and `decisions` that together identify a score.

    Attributes:
        detector: Name and revision of the detector.
        weights_sha256: Hash of the weights file, 64 hex digits; for a detector without a file,
            `unverified:` and a hash of its card.
        profile: Full description of the preprocessing.
        precision: Number format: `fp32`, `bf16`, `fp16`, or `int8@` and leading hex digits of the
            quantised weights' hash.
    """

    detector: str
    weights_sha256: str
    profile: str
    precision: str

    @staticmethod
    def columns() -> tuple[str, ...]:
        """Return the names of the key columns, in the order of the fields."""
        return tuple(field.name for field in fields(ScoreKey))

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ScoreKey | None:
        """Return the key in a row or in a run's record; None if a part of it is missing."""
        values = {name: row.get(name) for name in cls.columns()}
        if not all(isinstance(value, str) and value for value in values.values()):
            return None
        return cls(**{name: str(value) for name, value in values.items()})

    def where(self) -> pl.Expr:
        """Return a filter for the rows of this key; a null in a key column never matches."""
        return pl.all_horizontal(
            pl.col(name) == pl.lit(value) for name, value in self.as_row().items()
        )

    def as_row(self) -> Row:
        """Return the values by column."""
        return asdict(self)

    def digest(self) -> str:
        """Return a hash of the key, 16 hex digits, for use in names."""
        return hashlib.sha256("\n".join(self.as_row().values()).encode()).hexdigest()[:16]

    def describe(self) -> str:
        """Return the key as one line for display."""
        is_known = not self.weights_sha256.startswith(UNVERIFIED)
        weights = self.weights_sha256[:12] if is_known else "unverified"
        return f"{self.detector} in {self.precision}, weights {weights}, prepared by {self.profile}"


def rows_that_count(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return one row per image from rows of `scores` under one key.

    A score takes precedence over a failure, then a later row over an earlier one. Filter by
    `ScoreKey.where` first: rows of several keys would be mixed.
    """
    is_scored = pl.col("status") == ScoreStatus.SCORED.value
    return (
        rows.with_columns(is_scored=is_scored)
        .sort("is_scored", "scored_at", maintain_order=True)
        .unique("image_id", keep="last", maintain_order=True)
        .drop("is_scored")
    )
