"""Figures per domain: images, decisions, labels, and the precision of its flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ...data.vocabulary import Decision, Label
from ..evasion.table import wilson
from ..labels import CLASSES
from .thresholds import NO_DOMAIN, OTHER

MAX_DOMAINS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRow:
    """One row of the table.

    Attributes:
        name: Domain, `no domain`, or `other domains` for all beyond `MAX_DOMAINS`.
        n_images: Number of images.
        decisions: Number of images per `Decision`.
        labels: Number of labelled images per label.
        flagged_known: Number of flagged images with a label.
        flagged_fake: Number of flagged images with the label fake.
    """

    name: str
    n_images: int
    decisions: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    flagged_known: int = 0
    flagged_fake: int = 0

    @property
    def flagged_share(self) -> float | None:
        """Share of the decided images that are flagged; None without decisions."""
        decided = sum(self.decisions.values())
        return self.decisions[Decision.FLAG.value] / decided if decided else None

    @property
    def precision(self) -> tuple[float, float, float] | None:
        """Share of fake among the flagged and labelled images, with its 95 % interval (Wilson)."""
        if not self.flagged_known:
            return None
        low, high = wilson(self.flagged_fake, self.flagged_known)
        return self.flagged_fake / self.flagged_known, low, high


class Domains:
    """Counts of images per domain, decision and label."""

    def __init__(self) -> None:
        """Start without images."""
        self._counted: list[pl.DataFrame] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Count images.

        Args:
            rows: Columns domain, decision and label, each of which may be null.
        """
        keys = [pl.col(name).cast(pl.String) for name in ("domain", "decision", "label")]
        self._counted.append(rows.group_by(keys).agg(n=pl.len()))

    def rows(self) -> list[DomainRow]:
        """Return the rows of the table, the largest domain first; the last one may be the rest."""
        if not self._counted:
            return []
        counts = (
            pl.concat(self._counted)
            .with_columns(pl.col("domain").fill_null(NO_DOMAIN))
            .group_by("domain", "decision", "label")
            .agg(pl.col("n").sum())
        )
        sizes = (
            counts.group_by("domain")
            .agg(pl.col("n").sum())
            .sort("n", "domain", descending=[True, False])
        )
        largest = sizes["domain"].head(MAX_DOMAINS).to_list()
        rest = counts.filter(~pl.col("domain").is_in(largest))
        rows = [_row(name, counts.filter(pl.col("domain") == name)) for name in largest]
        return [*rows, _row(OTHER, rest)] if rest.height else rows


def _row(name: str, counts: pl.DataFrame) -> DomainRow:
    def of(condition: pl.Expr) -> int:
        return int(counts.filter(condition)["n"].sum())

    flagged = pl.col("decision") == Decision.FLAG.value
    return DomainRow(
        name=name,
        n_images=int(counts["n"].sum()),
        decisions={d.value: of(pl.col("decision") == d.value) for d in Decision},
        labels={label: of(pl.col("label") == label) for label in CLASSES},
        flagged_known=of(flagged & pl.col("label").is_in(CLASSES)),
        flagged_fake=of(flagged & (pl.col("label") == Label.FAKE.value)),
    )
