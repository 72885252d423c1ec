"""Assignment of groups to the splits of a dataset, and the check for leaks between splits.

A group is assigned as a whole, by a hash of its name. If the resulting shares are within one
percentage point of the requested ones, as with many small groups, the assignment stands: a group
is in the same split in every release with the same seed and fractions. Otherwise the large groups
are assigned first, each to the split that lacks most, and the small ones fill the rest in the order
of their hashes, so that one more image moves few groups.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from ...data.errors import ConfigError
from ...data.text.wording import counted
from ..copies.near_duplicates import MAX_DISTANCE, close_pairs, parse_hashes

SPLITS: Final = ("train", "validation", "test")
FRACTIONS: Final = (0.8, 0.1, 0.1)
"""Shares of the splits unless others are requested."""
# Largest deviation from a requested share that is not reported, as a share of all rows.
TOLERANCE: Final = 0.01

Shares: TypeAlias = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A group of near-duplicates.

    Attributes:
        name: Id of the group.
        n_rows: Number of images.
        position: Hash of seed and name, in [0, 1).
    """

    name: str
    n_rows: int
    position: float


def assign_splits(group_ids: pl.Series, *, fractions: Sequence[float], seed: int) -> pl.Series:
    """Return the split of every row, assigned by group.

    Args:
        group_ids: Id of the group per row.
        fractions: Shares of rows for train, validation and test, in [0, 1], with the sum 1.
        seed: Seed of the assignment.

    Raises:
        ConfigError: The fractions are not three such shares.
    """
    shares = _shares(fractions)
    n_rows = len(group_ids)
    groups = [
        _Group(name=str(name), n_rows=n, position=_position(str(name), seed))
        for name, n in group_ids.value_counts().sort(group_ids.name).iter_rows()
    ]
    split_of = {group.name: _by_hash(group.position, shares) for group in groups}
    sizes = _sizes(groups, split_of)
    if any(abs(sizes[split] - part * n_rows) > TOLERANCE * n_rows for split, part in shares):
        split_of = _balanced(groups, shares, n_rows)
    return group_ids.replace_strict(split_of, return_dtype=pl.String).rename("split")


def unmet_shares(
    group_ids: pl.Series, splits: pl.Series, *, fractions: Sequence[float]
) -> str | None:
    """Return the difference between requested and actual shares with its cause; None without one.

    A deviation of less than one image, or of less than `TOLERANCE`, is no difference, unless a
    split has no image at all.

    Args:
        group_ids: Id of the group per row.
        splits: Split per row, from `assign_splits`.
        fractions: Requested shares of train, validation and test.

    Raises:
        ConfigError: The fractions are not three shares with the sum 1.
    """
    n_rows = len(splits)
    if n_rows == 0:
        return None
    sizes = {split: int((splits == split).sum()) for split in SPLITS}
    shares = _shares(fractions)
    is_near = all(
        abs(sizes[split] - part * n_rows) < max(1, TOLERANCE * n_rows)
        and (sizes[split] > 0 or part == 0)
        for split, part in shares
    )
    if is_near:
        return None
    requested = ", ".join(f"{split} {part:.0%}" for split, part in shares)
    reached = ", ".join(f"{split} {sizes[split] / n_rows:.0%}" for split, _ in shares)
    largest = int(group_ids.value_counts()["count"].max())  # type: ignore[arg-type]
    n_groups = group_ids.n_unique()
    why = f"{counted(n_rows, 'image')} in {counted(n_groups, 'group')} are too few"
    if largest > 1:
        why = (
            f"groups are not divided, and the largest has {largest:,} of {counted(n_rows, 'image')}"
        )
    return f"requested {requested}; reached {reached}: {why}"


def find_leaks(rows: pl.DataFrame, *, max_distance: int = MAX_DISTANCE) -> list[str]:
    """Return one sentence per kind of leak between splits; an empty list without leaks.

    The check compares the perceptual hashes again and does not rely on the groups.

    Args:
        rows: Columns image_id, split, group_id, phash, parent_id.
        max_distance: Largest distance of near-duplicates in bits, as in the grouping.
    """
    leaks = []
    repeated = rows.filter(pl.col("image_id").is_duplicated())
    if repeated.height:
        leaks.append(f"image {repeated['image_id'][0]} is published {repeated.height} times")
    crossing = rows.group_by("group_id").agg(pl.col("split").unique().sort())
    crossing = crossing.filter(pl.col("split").list.len() > 1).sort("group_id")
    if crossing.height:
        splits = " and ".join(crossing["split"][0])
        leaks.append(f"group {crossing['group_id'][0]} is in {splits} ({crossing.height} in all)")
    parents = rows.select(pl.col("image_id").alias("parent_id"), parent_split="split")
    children = rows.join(parents, on="parent_id").filter(pl.col("split") != pl.col("parent_split"))
    if children.height:
        leaks.append(
            f"image {children['image_id'][0]} and its parent {children['parent_id'][0]} "
            f"are in different splits ({children.height} in all)"
        )
    return leaks + _close_across(rows, max_distance)


def _close_across(rows: pl.DataFrame, max_distance: int) -> list[str]:
    # Unique per hash and split, so that equal hashes in two splits are compared too.
    distinct = rows.unique(subset=["phash", "split"], keep="first", maintain_order=True)
    split_code = distinct["split"].cast(pl.Enum(SPLITS)).to_physical().to_numpy()
    for left, right in close_pairs(parse_hashes(distinct["phash"]), max_distance=max_distance):
        crossing = np.flatnonzero(split_code[left] != split_code[right])
        if len(crossing):
            at = crossing[0]
            ids = distinct["image_id"]
            return [
                f"images {ids[int(left[at])]} and {ids[int(right[at])]} look alike "
                f"(at most {counted(max_distance, 'bit')} apart) and are in different splits"
            ]
    return []


def _shares(fractions: Sequence[float]) -> list[tuple[str, float]]:
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
    return list(zip(SPLITS, fractions, strict=True))


def _position(group_id: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{group_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _by_hash(position: float, shares: Shares) -> str:
    edge = 0.0
    for split, part in shares:
        edge += part
        if position < edge:
            return split
    # Rounding may leave the last edge just below 1; the last split with a share takes the rest.
    return next(split for split, part in reversed(shares) if part > 0)


def _sizes(groups: Sequence[_Group], split_of: Mapping[str, str]) -> dict[str, int]:
    sizes = dict.fromkeys(SPLITS, 0)
    for group in groups:
        sizes[split_of[group.name]] += group.n_rows
    return sizes


def _balanced(groups: Sequence[_Group], shares: Shares, n_rows: int) -> dict[str, str]:
    missing = {split: part * n_rows for split, part in shares if part > 0}
    is_large = [group.n_rows > max(1, TOLERANCE * n_rows) for group in groups]
    split_of = {}
    large = [group for group, large in zip(groups, is_large, strict=True) if large]
    for group in sorted(large, key=lambda group: (-group.n_rows, group.position, group.name)):
        split = max(missing, key=lambda split: missing[split])
        split_of[group.name] = split
        missing[split] -= group.n_rows
    small = [group for group, large in zip(groups, is_large, strict=True) if not large]
    room = {split: max(rest, 0.0) for split, rest in missing.items()}
    # A split overfilled by large groups leaves less than the requested shares to the others.
    scale = sum(group.n_rows for group in small) / (sum(room.values()) or 1.0)
    edges = list(itertools.accumulate(rest * scale for rest in room.values()))
    done = 0
    for group in sorted(small, key=lambda group: (group.position, group.name)):
        middle = done + group.n_rows / 2
        place = min(bisect.bisect_left(edges, middle), len(edges) - 1)
        split_of[group.name] = list(room)[place]
        done += group.n_rows
    return split_of
