"""Nearest neighbours in arrays: by cosine, by Hamming distance, and by both rankings fused.

Every function is exact and compares the query with every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

# The constant of Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet
# and individual Rank Learning Methods", SIGIR 2009, section 2, which limits the weight of the
# first ranks of one list.
FUSION_CONSTANT: Final = 60


def unit_rows(vectors_f32_nd: Vectors) -> Vectors:
    """Scale every row to length 1, shape (N, D); rows without a finite length become zeros.

    A row of zeros has cosine 0 with every row.
    """
    lengths = np.linalg.norm(vectors_f32_nd, axis=1, keepdims=True)
    is_usable = np.isfinite(lengths) & (lengths > 0)
    usable = np.where(is_usable, vectors_f32_nd, 0)
    return (usable / np.where(is_usable, lengths, 1)).astype(np.float32)


def cosine_similarities(query_f32_d: Vectors, vectors_f32_nd: Vectors) -> Vectors:
    """Return the cosines of the query with every row, shape (N,), in [-1, 1]."""
    query = unit_rows(query_f32_d[None])[0]
    cosines: Vectors = np.clip(unit_rows(vectors_f32_nd) @ query, -1, 1)
    return cosines


def hamming_distances(query_hash: int, hashes_u64_n: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count the differing bits of a 64-bit hash and each of N others, shape (N,), 0 to 64."""
    bits: NDArray[np.int64] = np.bitwise_count(hashes_u64_n ^ np.uint64(query_hash)).astype(
        np.int64
    )
    return bits


def smallest(values_n: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the positions of the `k` smallest values in ascending order, or of all if fewer.

    Equal values keep the order of their positions.
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
    """Fuse rankings by the sum of 1 / (constant + rank), best first, then by name.

    Args:
        rankings: Ranks from 1 by name; a ranking may lack names of others.
        constant: Constant k of the paper.

    Source: Cormack, Clarke and Buettcher 2009, "Reciprocal Rank Fusion", sec. 2.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for name, rank in ranking.items():
            scores[name] = scores.get(name, 0.0) + 1 / (constant + rank)
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def recall(
    found_similarity_qk: NDArray[np.floating[Any]], true_similarity_qk: NDArray[np.floating[Any]]
) -> float:
    """Return the share of found neighbours that are true ones, in [0, 1].

    A neighbour as near as the k-th nearest counts, so that equal rows are interchangeable (as in
    ann-benchmarks, https://ann-benchmarks.com, but with a margin for rounding only).

    Args:
        found_similarity_qk: Exact similarities of the `k` results of each query; NaN where a
            search returned fewer.
        true_similarity_qk: Similarities of the `k` nearest by brute force, nearest first.
    """
    if true_similarity_qk.size == 0:
        return 1.0
    worst_q1 = true_similarity_qk[:, -1:]
    return float(np.mean(found_similarity_qk >= worst_q1 - 1e-6))
