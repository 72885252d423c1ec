"""Numbers of images beside each value of a filter, and the folders with the most images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from .conditions import NONE, Conditions, Met, met_by

MAX_DOMAINS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """Number of images per value, under the conditions of the other filters.

    Attributes:
        decision: Number per decision; `none` for images without one.
        reason: Number per reason; an image may have several.
        label: Number per state of the label.
        domain: Number per domain, the most frequent first, up to `MAX_DOMAINS`; `none` for images
            without one.
    """

    decision: dict[str, int]
    reason: dict[str, int]
    label: dict[str, int]
    domain: dict[str, int]


def facets_of(table: pl.DataFrame, conditions: Conditions, met: Met | None = None) -> Facets:
    """Return the facets of a table.

    Args:
        table: Table in `columns.SCHEMA`.
        conditions: Conditions of all filters.
        met: Result of `met_by` for the table and the conditions; None computes it.
    """
    met = met_by(table, conditions) if met is None else met
    columns = {"decision": "decision", "reason": "reasons", "label": "label", "domain": "domain"}
    counts = {}
    for name, column in columns.items():
        others = [mask for other, mask in met.items() if other != name]
        values = table[column]
        if others:
            values = values.filter(pl.Series(np.logical_and.reduce(others)))
        counts[name] = {
            str(NONE if value is None else value): int(n)
            for value, n in values.value_counts(sort=True).iter_rows()
        }
    reasons: dict[str, int] = {}
    for words, n in counts["reason"].items():
        for word in words.split():
            reasons[word] = reasons.get(word, 0) + n
    reasons.pop(NONE, None)
    domains = sorted(counts["domain"].items(), key=lambda pair: (-pair[1], pair[0]))
    return Facets(
        decision=counts["decision"],
        reason=dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
        label=counts["label"],
        domain=dict(domains[:MAX_DOMAINS]),
    )


def folders_of(table: pl.DataFrame, limit: int) -> list[tuple[str, int]]:
    """Return the folders and archives with the most images, each with its number of images.

    Args:
        table: Table in `columns.SCHEMA`.
        limit: Largest number of folders.
    """
    folder = pl.col("source_uri").str.extract(r"^(.*[/!#])[^/!#]*$")
    counts = table.lazy().group_by(folder.alias("folder")).len().filter(pl.col("folder") != "")
    top = counts.sort("len", "folder", descending=[True, False]).head(limit).collect()
    return [(str(name), int(n)) for name, n in top.iter_rows()]
