"""Groups of images that are copies of each other, or made from each other.

Two images are close when their 64-bit perceptual hashes differ in at most `MAX_DISTANCE` bits. A
group is a connected component of close pairs and lineage (a synthetic image and its parent). No
pair is missed, and memory is bounded: pairs are searched in blocks and merged into components as
they are found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Hashes: TypeAlias = NDArray[np.uint64]
Indices: TypeAlias = NDArray[np.int64]
Pairs: TypeAlias = tuple[Indices, Indices]

# Measured with imagehash's phash on 250 photos and drawings: JPEG down to quality 20 and reduction
# to a half or a third of the size change at most 4 bits; cropping 1 % off every edge, or 20 % more
# brightness, at most 6 bits in 99 of 100. The nearest two different images differed in 14 bits.
# Two random hashes are within 6 bits once in 2e11 pairs: a few pairs among a million images. A
# limit of 10 would join tens of thousands of pairs and chain them into one group.
MAX_DISTANCE: Final = 6
# Guarantee of the banded search: of four bands that differ in 7 bits, one differs in at most 1.
MAX_BANDED_DISTANCE: Final = 7

_BRUTE_FORCE_BELOW: Final = 20_000
_PAIRS_AT_A_TIME: Final = 2_000_000
_N_BANDS: Final = 4
_BAND_BITS: Final = 16


def group_near_duplicates(
    images: pl.DataFrame, lineage: pl.DataFrame, *, max_distance: int = MAX_DISTANCE
) -> pl.DataFrame:
    """Name the group of every image.

    Args:
        images: Columns image_id (distinct), phash (16 hex digits), ingested_at.
        lineage: Columns image_id, parent_id. `images` may lack either: siblings of a parent that
            is not stored are still in one group.
        max_distance: Largest number of differing bits of a close pair, 0 to 7.

    Returns:
        Columns image_id and group_id, in the order of `images`. A group is named after its member
        ingested first (then by id), so that later copies do not change the name.

    Raises:
        ValueError: `max_distance` is out of range.
    """
    hashes = parse_hashes(images["phash"])
    distinct, node_of_image = np.unique(hashes, return_inverse=True)
    edges = close_pairs(distinct, max_distance=max_distance)
    links, n_nodes = _lineage_edges(images["image_id"], lineage, node_of_image, len(distinct))
    component = _components([*_folded(edges, len(distinct)), links], n_nodes)[node_of_image]
    named = images.select("image_id", "ingested_at", component=pl.Series(component)).with_columns(
        group_id=pl.lit("g-")
        + pl.col("image_id")
        .sort_by("ingested_at", "image_id")
        .first()
        .over("component")
        .str.head(16)
    )
    return named.select("image_id", "group_id")


def parse_hashes(phash: pl.Series) -> Hashes:
    """Parse hashes of 16 hex digits as unsigned 64-bit integers, shape (N,)."""
    numbers: Hashes = phash.str.to_integer(base=16, dtype=pl.UInt64).to_numpy()
    return numbers


def close_pairs(
    hashes: Hashes, *, max_distance: int, brute_force_below: int = _BRUTE_FORCE_BELOW
) -> Iterator[Pairs]:
    """Yield the pairs of positions i < j whose hashes differ in at most `max_distance` bits.

    A pair may occur more than once. A block has about two million candidates, or those of one row.

    Args:
        hashes: Hashes, shape (N,).
        max_distance: Largest number of differing bits, 0 to 7.
        brute_force_below: Number of hashes from which only pairs with a nearly equal band of 16
            bits are compared: of four bands that differ in 7 bits together, one differs in at
            most 1.

    Raises:
        ValueError: `max_distance` is out of range.
    """
    if not 0 <= max_distance <= MAX_BANDED_DISTANCE:
        raise ValueError(f"max_distance is {max_distance}; allowed: 0 to {MAX_BANDED_DISTANCE}")
    candidates = _all_pairs if len(hashes) < brute_force_below else _banded_pairs
    for left, right in candidates(hashes):
        is_close = np.bitwise_count(hashes[left] ^ hashes[right]) <= max_distance
        if is_close.any():
            yield left[is_close], right[is_close]


def _all_pairs(hashes: Hashes) -> Iterator[Pairs]:
    n = len(hashes)
    rows_at_a_time = max(1, _PAIRS_AT_A_TIME // max(n, 1))
    for start in range(0, n, rows_at_a_time):
        rows = np.arange(start, min(start + rows_at_a_time, n))
        columns = np.arange(start, n)
        left, right = np.nonzero(rows[:, None] < columns[None, :])
        yield rows[left], columns[right]


def _banded_pairs(hashes: Hashes) -> Iterator[Pairs]:
    flips = [0, *(1 << bit for bit in range(_BAND_BITS))]
    for band in range(_N_BANDS):
        shift = np.uint64(band * _BAND_BITS)
        keys = ((hashes >> shift) & np.uint64(0xFFFF)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], np.arange(2**_BAND_BITS + 1))
        for flip in flips:
            first, last = starts[keys ^ flip], starts[(keys ^ flip) + 1]
            yield from _expand(first, last, order)


def _expand(first: Indices, last: Indices, order: Indices) -> Iterator[Pairs]:
    """Pair each position i with those positions of `order[first[i]:last[i]]` that are larger."""
    counts = last - first
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _PAIRS_AT_A_TIME, side="right")))
        n = counts[start:stop]
        left = np.repeat(np.arange(start, stop), n)
        within = np.arange(len(left)) - np.repeat(np.cumsum(n) - n, n)
        right = order[np.repeat(first[start:stop], n) + within]
        is_ordered = left < right
        yield left[is_ordered], right[is_ordered]
        start = stop


def _folded(pairs: Iterable[Pairs], n_nodes: int) -> list[Pairs]:
    """Reduce pairs to a few million edges with the same components, kept as stars."""
    waiting: list[Pairs] = []
    n_waiting = 0
    for left, right in pairs:
        waiting.append((left, right))
        n_waiting += len(left)
        if n_waiting > n_nodes + _PAIRS_AT_A_TIME:
            component = _components(waiting, n_nodes)
            _, hub = np.unique(component, return_index=True)
            waiting = [(np.arange(n_nodes), hub[component])]
            n_waiting = n_nodes
    return waiting


def _components(edges: list[Pairs], n_nodes: int) -> Indices:
    left = np.concatenate([np.empty(0, np.int64), *(pair[0] for pair in edges)])
    right = np.concatenate([np.empty(0, np.int64), *(pair[1] for pair in edges)])
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(n_nodes, n_nodes))
    labels: Indices = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def _lineage_edges(
    image_ids: pl.Series, lineage: pl.DataFrame, node_of_image: Indices, n_hashes: int
) -> tuple[Pairs, int]:
    """Return the edges from children to parents, with a node for every id that is not stored."""
    links = lineage.select("image_id", "parent_id").drop_nulls().unique(maintain_order=True)
    ends = pl.concat([links["image_id"], links["parent_id"].rename("image_id")]).to_frame()
    stored = pl.DataFrame({"image_id": image_ids, "node": node_of_image.astype(np.int64)})
    absent = ends.unique(maintain_order=True).join(stored, on="image_id", how="anti")
    nodes = pl.concat(
        [
            stored,
            absent.with_columns(
                node=pl.int_range(n_hashes, n_hashes + absent.height, dtype=pl.Int64)
            ),
        ]
    )
    node = ends.join(nodes, on="image_id", how="left", maintain_order="left")["node"].to_numpy()
    return (node[: links.height], node[links.height :]), n_hashes + absent.height
