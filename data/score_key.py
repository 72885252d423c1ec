"""What a score is known by, and which of the rows under one key counts.

The same image has other scores under other weights, another preprocessing or another number
format. Whoever reads or writes scores, views, decisions or embeddings names all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import polars as pl

from .schema import Row, ScoreStatus

UNVERIFIED: Final = "unverified:"
"""Begins what stands for the hash of weights where a detector has no weights files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreKey:
    """Columns of `scores`, `views` and `decisions` that together tell one score from another.

    Attributes:
        detector: Name and revision.
        weights_sha256: Hash of the weights file, 64 hex digits; `unverified:` and a hash of the
            detector's card where there is no file.
        profile: Preprocessing, in full.
        precision: `fp32`, `bf16`, `fp16`, or `int8@` and digits of the quantised weights' hash.
    """

    detector: str
    weights_sha256: str
    profile: str
    precision: str

    @staticmethod
    def columns() -> tuple[str, ...]:
        """Return the names of the columns, in the order of the fields."""
        return tuple(field.name for field in fields(ScoreKey))

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ScoreKey | None:
        """Return the key that a row or a run's record holds; None where a part of it is missing."""
        values = {name: row.get(name) for name in cls.columns()}
        if not all(isinstance(value, str) and value for value in values.values()):
            return None
        return cls(**{name: str(value) for name, value in values.items()})

    def where(self) -> pl.Expr:
        """Return the filter that rows of this key pass, and no row with a null in it."""
        return pl.all_horizontal(
            pl.col(name) == pl.lit(value) for name, value in self.as_row().items()
        )

    def as_row(self) -> Row:
        """Return the columns and their values."""
        return asdict(self)

    def digest(self) -> str:
        """Return 16 hex digits that tell this key from others, for names."""
        return hashlib.sha256("\n".join(self.as_row().values()).encode()).hexdigest()[:16]

    def describe(self) -> str:
        """Return the key in one line, for a person."""
        is_known = not self.weights_sha256.startswith(UNVERIFIED)
        weights = self.weights_sha256[:12] if is_known else "unverified"
        return f"{self.detector} in {self.precision}, weights {weights}, prepared by {self.profile}"


def rows_that_count(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return one row for each image from rows of `scores` under one key.

    A score counts before a failure, then the latest row. Of rows under several keys this would
    pick by time what only a key can tell apart: filter by `ScoreKey.where` first.
    """
    is_scored = pl.col("status") == ScoreStatus.SCORED.value
    return (
        rows.with_columns(is_scored=is_scored)
        .sort("is_scored", "scored_at", maintain_order=True)
        .unique("image_id", keep="last", maintain_order=True)
        .drop("is_scored")
    )
