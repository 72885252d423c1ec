"""The energy distance of two samples of vectors, with a permutation test. Pure functions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_DRAWS_AT_A_TIME: Final = 256


def energy_test(
    before: Array, after: Array, *, n_draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the energy distance of two samples, and the p-value of a permutation test.

    The distance is the square root of 2 E|X-Y| - E|X-X'| - E|Y-Y'| (Szekely and Rizzo 2013), as in
    `scipy.stats.energy_distance` for one dimension.

    Args:
        before: Vectors of the first sample, (n, d).
        after: Vectors of the second sample, (m, d).
        n_draws: Number of permutations.
        rng: Source of the permutations.
    """
    distances = _centred_distances(np.concatenate([before, after]).astype(np.float64))
    weights = np.concatenate(
        [np.full(len(before), 1 / len(before)), np.full(len(after), -1 / len(after))]
    ).astype(np.float32)
    seen = float(_energy(weights[None], distances)[0])
    n_as_far = 0
    for start in range(0, n_draws, _DRAWS_AT_A_TIME):
        n_rows = min(_DRAWS_AT_A_TIME, n_draws - start)
        drawn = rng.permuted(np.tile(weights, (n_rows, 1)), axis=1)
        n_as_far += int((_energy(drawn, distances) >= seen - 1e-7 * abs(seen)).sum())
    return float(np.sqrt(max(seen, 0.0))), (n_as_far + 1) / (n_draws + 1)


def _energy(weights: Array, distances: Array) -> Array:
    """Return the squared energy distance of each row of weights: +1/n, and -1/m for the others."""
    return np.asarray(-np.einsum("bi,bi->b", weights @ distances, weights))


def _centred_distances(vectors: Array) -> Array:
    """Return Euclidean distances less their means by row and column, (k, k), float32.

    Weights sum to zero, so that the means do not count; without them float32 is precise enough.
    """
    vectors = vectors - vectors.mean(axis=0)
    squares = np.einsum("ij,ij->i", vectors, vectors)
    distances = squares[:, None] + squares[None] - 2 * vectors @ vectors.T
    np.fill_diagonal(distances, 0)
    distances = np.sqrt(np.maximum(distances, 0))
    means = distances.mean(axis=0)
    distances += means.mean() - means[:, None] - means[None]
    return np.asarray(distances, dtype=np.float32)
