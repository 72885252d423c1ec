"""How far an image lies from the labelled images of a calibration, and whether that is too far.

The distance of an image is one minus the cosine of its embedding with that of the nearest labelled
image, real or fake. Real images alone would not do: to a detector, fakes are unlike real images, so
that many right flags would be of images that are unlike the labelled ones.

The conformal p-value of a distance d is (1 + number of reals with a distance >= d) / (n + 1), where
the distance of a real is that to all other labelled images. With the new image among the others, as
full conformal prediction has it, the distance of a real is the smaller one of that and its
distance to the new image; the latter is never below d, so that the count is the same. For a real
image that is exchangeable with the n reals, P(p <= u) <= u for every u.

Source: Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World", chapter 2, with
the distance to the nearest neighbour as the measure of nonconformity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..embeddings.neighbours import Vectors, unit_rows

MAX_IMAGES: Final = 1_000
"""Largest number of real images, and of fake ones, that an image is compared with."""
# Rows of 1,000 reals and as many fakes: 32 MB of cosines at a time.
_ROWS_AT_A_TIME: Final = 4_096
# Distances that differ by less are equal: products of float32 round otherwise in other shapes.
_ROUNDING: Final = np.float32(1e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingDomain:
    """Embeddings of labelled images, and the distances of the real ones among them.

    Attributes:
        references: Embeddings of unit length, of real and fake images, shape (M, D), float32.
        real_distances: Distance of each real image to the nearest other reference, ascending,
            shape (N,), N <= M, float32.
    """

    references: Vectors
    real_distances: NDArray[np.float32]

    def distances(self, vectors_f32_nd: Vectors) -> NDArray[np.float32]:
        """Return the distance of each embedding to the nearest reference, shape (N,), in [0, 2].

        Args:
            vectors_f32_nd: Embeddings of the same detector, shape (N, D).
        """
        out = np.empty(len(vectors_f32_nd), np.float32)
        for start in range(0, len(out), _ROWS_AT_A_TIME):
            some = slice(start, start + _ROWS_AT_A_TIME)
            cosines = unit_rows(vectors_f32_nd[some]) @ self.references.T
            out[some] = _distance(cosines.max(axis=1))
        return out

    def p_values(self, distances: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the conformal p-value of each distance, in [1 / (N + 1), 1]; NaN gives NaN."""
        n_reals = len(self.real_distances)
        at_or_above = n_reals - np.searchsorted(
            self.real_distances, distances - _ROUNDING, side="left"
        )
        return np.where(np.isnan(distances), np.nan, (1 + at_or_above) / (n_reals + 1))


def domain_of(reals: Vectors, fakes: Vectors) -> EmbeddingDomain | None:
    """Return the domain of labelled images; None without two real ones.

    Args:
        reals: Embeddings of real images, one per group of copies, shape (N, D); the first
            `MAX_IMAGES` count, so their order must know nothing of the images.
        fakes: Embeddings of fake images, shape (M, D), likewise.
    """
    if len(reals) < 2:
        return None
    n_reals = min(len(reals), MAX_IMAGES)
    # Without fakes their array has no width.
    some = [vectors[:MAX_IMAGES] for vectors in (reals, fakes) if len(vectors)]
    references = unit_rows(np.concatenate(some))
    return EmbeddingDomain(
        references=references, real_distances=np.sort(_among_others(references, n_reals))
    )


def fake_p_values(domain: EmbeddingDomain) -> NDArray[np.float64]:
    """Return the p-value of each fake reference, by its distance to all other references."""
    n_reals = len(domain.real_distances)
    everyone = _among_others(domain.references, len(domain.references))
    return domain.p_values(everyone[n_reals:])


def _among_others(references: Vectors, n: int) -> NDArray[np.float32]:
    """Return the distance of each of the first references to the nearest other one, shape (n,)."""
    cosines = references[:n] @ references.T
    np.fill_diagonal(cosines, -np.inf)
    return _distance(cosines.max(axis=1))


def _distance(cosines: Vectors) -> NDArray[np.float32]:
    distances: NDArray[np.float32] = np.clip(1 - cosines, 0, 2).astype(np.float32)
    return distances
