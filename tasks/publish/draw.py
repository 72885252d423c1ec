"""The draw of a dataset under caps and a balance. Pure functions.

The order of a draw follows from hashes of the seed, the groups and the ids: it depends on no order
of rows and no version of a random number generator. From each group of near-duplicates one image of
each label comes first, then the second ones, so that few copies are drawn, and a made image
with its parent. Which split a group falls into is independent of the order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import polars as pl


def in_draw_order(rows: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Return rows in the order in which a dataset draws them.

    Args:
        rows: Columns image_id (distinct), group_id and label; others are kept.
        seed: Seed of the order.
    """
    ranked = rows.with_columns(
        _image=_hashes(rows["image_id"], seed), _group=_hashes(rows["group_id"], seed)
    ).sort("_image")
    return (
        ranked.with_columns(_round=pl.int_range(pl.len()).over("group_id", "label"))
        .sort("_round", "_group", "_image")
        .drop("_round", "_group", "_image")
    )


def full_caps(ordered: pl.DataFrame, cap: Mapping[str, int]) -> pl.Series:
    """Return, per row, the column whose cap keeps the row out; null for a row that is taken.

    A row is taken unless as many rows before it as a cap allows were taken with the same value, so
    that none of the others could be added. A missing value counts as a value.

    Args:
        ordered: Rows in the order of the draw.
        cap: Largest number of rows per value, by column.
    """
    codes = [ordered[name].rank("dense").fill_null(0).to_list() for name in cap]
    counts: list[dict[int, int]] = [{} for _ in cap]
    limits = list(zip(cap, cap.values(), counts, strict=True))
    why: list[str | None] = []
    for values in zip(*codes, strict=True):
        full = next(
            (
                name
                for value, (name, limit, count) in zip(values, limits, strict=True)
                if count.get(value, 0) >= limit
            ),
            None,
        )
        if full is None:
            for value, count in zip(values, counts, strict=True):
                count[value] = count.get(value, 0) + 1
        why.append(full)
    return pl.Series("cap", why, dtype=pl.String)


def is_balanced(ordered: pl.DataFrame, column: str) -> pl.Series:
    """Return, per row, whether it belongs to as many rows of each value as the rarest value has.

    Args:
        ordered: Rows in the order of the draw, with a value each.
        column: Column of the values.
    """
    smallest = int(ordered[column].value_counts()["count"].min() or 0)  # type: ignore[arg-type]
    number = pl.int_range(pl.len()).over(column)
    return ordered.select(is_kept=number < smallest)["is_kept"]


def _hashes(ids: pl.Series, seed: int) -> pl.Series:
    hashes = (hashlib.sha256(f"draw:{seed}:{one}".encode()).digest()[:8] for one in ids)
    return pl.Series([int.from_bytes(digest, "big") for digest in hashes], dtype=pl.UInt64)
