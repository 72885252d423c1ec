"""Which part of a published dataset a picture goes to, and the check that no copy crosses.

A group goes as a whole, by a hash of its name: the same group goes to the same part in every
release with the same seed and fractions, whatever else is in the lake.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from ..data.errors import ConfigError
from .near_duplicates import MAX_DISTANCE, close_pairs, parse_hashes

SPLITS: Final = ("train", "validation", "test")


def assign_splits(group_ids: pl.Series, *, fractions: Sequence[float], seed: int) -> pl.Series:
    """The split of every row, by its group.

    Args:
        group_ids: One group name a row.
        fractions: Of groups for train, validation and test; in [0, 1], summing to 1.
        seed: Another seed shuffles all groups anew.

    Raises:
        ConfigError: The fractions are not three shares of one.
    """
    fractions = tuple(fractions)
    if (
        len(fractions) != len(SPLITS)
        or not all(0 <= part <= 1 for part in fractions)
        or not math.isclose(sum(fractions), 1, abs_tol=1e-6)
    ):
        raise ConfigError(
            f"fractions {fractions} are not shares for {', '.join(SPLITS)}; "
            "give three numbers from 0 to 1 that sum to 1, such as 0.8, 0.1, 0.1"
        )
    groups = group_ids.unique().sort()
    split_of = {group: _split(str(group), fractions, seed) for group in groups}
    return group_ids.replace_strict(split_of, return_dtype=pl.String).rename("split")


def find_leaks(rows: pl.DataFrame, *, max_distance: int = MAX_DISTANCE) -> list[str]:
    """What crosses from one split to another, in words; an empty list when nothing does.

    Looks at the pictures themselves again, not only at the names of their groups.

    Args:
        rows: Columns image_id, split, group_id, phash, parent_id.
        max_distance: As when the groups were made.
    """
    leaks = []
    repeated = rows.filter(pl.col("image_id").is_duplicated())
    if repeated.height:
        leaks.append(f"image {repeated['image_id'][0]} is published {repeated.height} times")
    crossing = rows.group_by("group_id").agg(pl.col("split").unique().sort())
    crossing = crossing.filter(pl.col("split").list.len() > 1).sort("group_id")
    if crossing.height:
        splits = " and ".join(crossing["split"][0])
        leaks.append(f"group {crossing['group_id'][0]} is in {splits} ({crossing.height} such)")
    parents = rows.select(pl.col("image_id").alias("parent_id"), parent_split="split")
    children = rows.join(parents, on="parent_id").filter(pl.col("split") != pl.col("parent_split"))
    if children.height:
        leaks.append(
            f"image {children['image_id'][0]} and its parent {children['parent_id'][0]} "
            f"are in different splits ({children.height} such)"
        )
    return leaks + _close_across(rows, max_distance)


def _close_across(rows: pl.DataFrame, max_distance: int) -> list[str]:
    # Equal hashes too: a hash in two splits is one row here for each of them.
    distinct = rows.unique(subset=["phash", "split"], keep="first", maintain_order=True)
    split_code = distinct["split"].cast(pl.Enum(SPLITS)).to_physical().to_numpy()
    for left, right in close_pairs(parse_hashes(distinct["phash"]), max_distance=max_distance):
        crossing = np.flatnonzero(split_code[left] != split_code[right])
        if len(crossing):
            one, other = (distinct["image_id"][int(side[crossing[0]])] for side in (left, right))
            return [
                f"images {one} and {other} look alike "
                f"(at most {max_distance} bits apart) and are in different splits"
            ]
    return []


def _split(group_id: str, fractions: tuple[float, ...], seed: int) -> str:
    digest = hashlib.sha256(f"{seed}:{group_id}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    edge = 0.0
    for name, part in zip(SPLITS, fractions, strict=True):
        edge += part
        if position < edge:
            return name
    # Rounding may leave the last edge just below 1: the last split that may have any takes it.
    return next(name for name, part in zip(SPLITS[::-1], fractions[::-1], strict=True) if part > 0)
