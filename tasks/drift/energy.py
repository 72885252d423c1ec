"""The energy test of two samples of vectors, by permutations. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_DRAWS_AT_A_TIME: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTest:
    """Result of an energy test.

    Attributes:
        distance: Square root of 2 E|X-Y| - E|X-X'| - E|Y-Y'|, in units of the vectors.
        coefficient: The same without units, 0 to 1: divided by the square root of 2 E|X-Y|, and
            free of the part that finite samples add. 1 if each sample is a point of its own.
        p_value: P-value of a permutation test.
    """

    distance: float
    coefficient: float
    p_value: float


def energy_test(
    before: Array, after: Array, *, n_draws: int, rng: np.random.Generator
) -> EnergyTest:
    """Test two samples of vectors by their energy distance (Szekely and Rizzo 2013).

    The distance is that of `scipy.stats.energy_distance` for one dimension. The coefficient is the
    square root of Szekely and Rizzo's coefficient of inhomogeneity, with means over distinct pairs
    (a U-statistic). For two normals of one dimension it is about their Kolmogorov-Smirnov distance.

    Args:
        before: Vectors of the first sample, (n, d), n >= 2.
        after: Vectors of the second sample, (m, d), m >= 2.
        n_draws: Number of permutations.
        rng: Source of the permutations.
    """
    n, m = len(before), len(after)
    distances = _distances(np.concatenate([before, after]).astype(np.float64))
    between = 2 * float(distances[:n, n:].mean())
    within = distances[:n, :n].sum() / (n * (n - 1)) + distances[n:, n:].sum() / (m * (m - 1))
    weights = np.concatenate([np.full(n, 1 / n), np.full(m, -1 / m)]).astype(np.float32)
    centred = _centred(distances)
    seen = float(_energy(weights[None], centred)[0])
    n_as_far = 0
    for start in range(0, n_draws, _DRAWS_AT_A_TIME):
        n_rows = min(_DRAWS_AT_A_TIME, n_draws - start)
        drawn = rng.permuted(np.tile(weights, (n_rows, 1)), axis=1)
        n_as_far += int((_energy(drawn, centred) >= seen - 1e-7 * abs(seen)).sum())
    share = (between - float(within)) / between if between else 0.0
    return EnergyTest(
        distance=float(np.sqrt(max(seen, 0.0))),
        coefficient=float(np.sqrt(max(share, 0.0))),
        p_value=(n_as_far + 1) / (n_draws + 1),
    )


def _energy(weights: Array, distances: Array) -> Array:
    """Return the squared energy distance of each row of weights: +1/n, and -1/m for the others."""
    return np.asarray(-np.einsum("bi,bi->b", weights @ distances, weights))


def _distances(vectors: Array) -> Array:
    """Return Euclidean distances, (k, k)."""
    vectors = vectors - vectors.mean(axis=0)
    squares = np.einsum("ij,ij->i", vectors, vectors)
    distances = squares[:, None] + squares[None] - 2 * vectors @ vectors.T
    np.fill_diagonal(distances, 0)
    return np.asarray(np.sqrt(np.maximum(distances, 0)))


def _centred(distances: Array) -> Array:
    """Return distances less their means by row and column, float32.

    Weights sum to zero, so that the means do not count; without them float32 is precise enough.
    """
    means = distances.mean(axis=0)
    return np.asarray(distances + means.mean() - means[:, None] - means[None], dtype=np.float32)
