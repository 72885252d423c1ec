"""Groups of images that are copies of each other, or made from each other.

Two images are close when their 64-bit perceptual hashes differ in at most `MAX_DISTANCE` bits. A
group is a connected component of close pairs and lineage (a synthetic image and its parent). No
pair is missed, and memory is bounded: pairs are searched in blocks and merged into components as
they are found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes: TypeAlias = NDArray[np.uint64]
Indices: TypeAlias = NDArray[np.int64]
Pairs: TypeAlias = tuple[Indices, Indices]

# Measured with imagehash's phash on 250 photos and drawings: JPEG down to quality 20 and reduction
# to a half or a third of the size change at most 4 bits; cropping 1 % off every edge, or 20 % more
# brightness, at most 6 bits in 99 of 100. The nearest two different images differed in 14 bits.
# Two random hashes are within 6 bits once in 2e11 pairs: a few pairs among a million images;
# photos are a little more alike. A
# limit of 10 would join tens of thousands of pairs and chain them into one group.
MAX_DISTANCE: Final = 6
# The banded search looks at 120 choices of three bands for it, and at more beyond.
MAX_BANDED_DISTANCE: Final = 7
# Bands in which two close hashes agree.
_N_SHARED: Final = 3

_PAIRS_AT_A_TIME: Final = 2_000_000
# An odd factor that spreads the bits of a key over the upper half: Knuth, TAOCP 3, section 6.4.
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)


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


def close_pairs(hashes: Hashes, *, max_distance: int) -> Iterator[Pairs]:
    """Yield the pairs of positions i < j whose hashes differ in at most `max_distance` bits.

    Each pair occurs once. Hashes are cut into `max_distance + 3` bands. Each differing bit changes
    one band, so a close pair agrees in three. It is found among the hashes that are equal in three
    bands, for each choice of three (multi-index hashing with combined bands, after Norouzi, Punjani
    and Fleet, Fast Exact Search in Hamming Space with Multi-Index Hashing, 2014).

    Args:
        hashes: Hashes, shape (N,).
        max_distance: Largest number of differing bits, 0 to 7.

    Raises:
        ValueError: `max_distance` is out of range.
    """
    if not 0 <= max_distance <= MAX_BANDED_DISTANCE:
        raise ValueError(f"max_distance is {max_distance}; allowed: 0 to {MAX_BANDED_DISTANCE}")
    bands = _bands(max_distance + _N_SHARED)
    for shared in itertools.combinations(range(len(bands)), _N_SHARED):
        mask = np.bitwise_or.reduce([bands[band] for band in shared])
        for pairs in _equal_pairs(hashes & mask):
            for left, right in _close(hashes, pairs, max_distance):
                # A pair that agrees in more bands is left to the first choice of them.
                is_first = _shares_first(hashes[left] ^ hashes[right], bands, shared)
                if is_first.any():
                    yield left[is_first], right[is_first]


def _close(hashes: Hashes, pairs: Pairs, max_distance: int) -> Iterator[Pairs]:
    """Yield those of the pairs that are close, unless there are none."""
    left, right = pairs
    is_close = np.bitwise_count(hashes[left] ^ hashes[right]) <= max_distance
    if is_close.any():
        yield left[is_close], right[is_close]


def _bands(n_bands: int) -> list[np.uint64]:
    """Return masks that cut 64 bits into bands of nearly equal width."""
    edges = [band * 64 // n_bands for band in range(n_bands + 1)]
    return [np.uint64((1 << high) - (1 << low)) for low, high in itertools.pairwise(edges)]


def _shares_first(
    changed: Hashes, bands: Sequence[np.uint64], shared: Sequence[int]
) -> NDArray[np.bool_]:
    """Return for each pair whether `shared` are the first bands without a changed bit, (N,)."""
    is_first = np.ones(len(changed), dtype=bool)
    for band in range(shared[-1] + 1):
        is_shared = (changed & bands[band]) == 0
        is_first &= is_shared if band in shared else ~is_shared
    return is_first


def _equal_pairs(keys: Hashes) -> Iterator[Pairs]:
    """Yield pairs of positions i < j: all of equal keys, and a few of others."""
    # A number per row sorts faster than rows by their key: the upper half is of the key.
    packed = (keys * _SPREAD) >> np.uint64(32) << np.uint64(32)
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    order = (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
    packed >>= np.uint64(32)
    at = np.flatnonzero(packed[1:] == packed[:-1])
    step = 1
    while len(at):
        for start in range(0, len(at), _PAIRS_AT_A_TIME):
            some = at[start : start + _PAIRS_AT_A_TIME]
            yield order[some], order[some + step]
        step += 1
        # Equal keys are neighbours: a row whose next ones differ has no further pair.
        at = at[at + step < len(packed)]
        at = at[packed[at] == packed[at + step]]


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
    # Every run imports this module, and few have near-duplicates to group.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

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
