"""Nearest neighbours on plain arrays: by cosine, by Hamming distance, and both rankings in one.

Everything here is exact and compares the query with every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

# The constant of Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet
# and individual Rank Learning Methods", SIGIR 2009, section 2: it keeps the first ranks of one
# list from drowning the other.
FUSION_CONSTANT: Final = 60


def unit_rows(vectors_f32_nd: Vectors) -> Vectors:
    """Scale every row to length 1, shape (N, D); rows without a finite length become zeros.

    A row of zeros has cosine 0 with everything, so it is never nearer than a real neighbour.
    """
    lengths = np.linalg.norm(vectors_f32_nd, axis=1, keepdims=True)
    is_usable = np.isfinite(lengths) & (lengths > 0)
    usable = np.where(is_usable, vectors_f32_nd, 0)
    return (usable / np.where(is_usable, lengths, 1)).astype(np.float32)


def cosine_similarities(query_f32_d: Vectors, vectors_f32_nd: Vectors) -> Vectors:
    """Return cosines of the query with every row, shape (N,), in [-1, 1]."""
    query = unit_rows(query_f32_d[None])[0]
    cosines: Vectors = np.clip(unit_rows(vectors_f32_nd) @ query, -1, 1)
    return cosines


def hamming_distances(query_hash: int, hashes_u64_n: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count differing bits between a 64-bit hash and each of others, shape (N,), 0 to 64."""
    bits: NDArray[np.int64] = np.bitwise_count(hashes_u64_n ^ np.uint64(query_hash)).astype(
        np.int64
    )
    return bits


def smallest(values_n: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return positions of the `k` smallest values, in order; of equal ones the earlier first.

    Gives all positions when there are fewer than `k`.
    """
    k = min(k, len(values_n))
    if k == 0:
        return np.empty(0, np.int64)
    limit = np.partition(values_n, k - 1)[k - 1]
    candidates = np.flatnonzero(values_n <= limit)
    return candidates[np.argsort(values_n[candidates], kind="stable")][:k].astype(np.int64)


def competition_ranks(sorted_values: Sequence[float]) -> list[int]:
    """Rank values in order from 1; equal values share the first rank of their group."""
    values = np.asarray(sorted_values)
    is_first = np.ones(len(values), bool)
    is_first[1:] = values[1:] != values[:-1]
    positions = np.arange(1, len(values) + 1)
    return [int(rank) for rank in np.maximum.accumulate(np.where(is_first, positions, 0))]


def fuse_ranks(
    rankings: Sequence[Mapping[str, int]], *, constant: int = FUSION_CONSTANT
) -> dict[str, float]:
    """Fuse ranks by the sum of 1 / (constant + rank), best first, then by name.

    Args:
        rankings: Rank from 1 by name; a name may be missing from some.
        constant: The k of the paper named above.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for name, rank in ranking.items():
            scores[name] = scores.get(name, 0.0) + 1 / (constant + rank)
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def recall(
    found_similarity_qk: NDArray[np.floating[Any]], true_similarity_qk: NDArray[np.floating[Any]]
) -> float:
    """Return the share of what was found that belongs among the true nearest, in [0, 1].

    Args:
        found_similarity_qk: Exact similarities of the `k` that a search gave each query; NaN
            where it gave fewer.
        true_similarity_qk: Similarities of the `k` nearest by brute force, nearest first.

    What lies as near as the k-th nearest counts, so that equal rows may stand for each other
    (as in ann-benchmarks, https://ann-benchmarks.com, but with a margin for rounding only).
    """
    if true_similarity_qk.size == 0:
        return 1.0
    worst_q1 = true_similarity_qk[:, -1:]
    return float(np.mean(found_similarity_qk >= worst_q1 - 1e-6))
