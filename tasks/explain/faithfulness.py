"""Faithfulness of a map over patches: deletion and insertion curves.

The most relevant patches are removed first, or inserted first, and the area under the curve of
the probability is compared with that of random orders.

Source: Petsiuk, Das and Saenko 2018, "RISE: Randomized Input Sampling for Explanation of Black-box
Models", here on patches in place of pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
# (N, 3, S, S) to probabilities (N,).
Score = Callable[[Pixels], NDArray[np.float64]]

STEPS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Areas under the two curves of a probability, each in [0, 1].

    Attributes:
        deletion: Area under the deletion curve; low where the probability falls early.
        insertion: Area under the insertion curve; high where the probability rises early.
    """

    deletion: float
    insertion: float


def curves(pixels_chw: Pixels, relevance: NDArray[np.float64], score: Score) -> Curves:
    """Return both areas of one image and one map.

    Args:
        pixels_chw: Preprocessed image, (3, S, S).
        relevance: Relevance of its patches, (P, P); equal ones keep reading order.
        score: Function from images to the probability that the map explains.
    """
    order = np.argsort(-relevance.ravel(), kind="stable")
    # Normalised, zero is the mean colour.
    empty = np.zeros_like(pixels_chw)
    cuts = np.linspace(0, len(order), STEPS + 1).round().astype(int)
    gone = [_mixed(pixels_chw, empty, order[:cut], len(order)) for cut in cuts]
    back = [_mixed(empty, pixels_chw, order[:cut], len(order)) for cut in cuts]
    probs = score(np.stack(gone + back))
    half = len(cuts)
    return Curves(deletion=_area(probs[:half]), insertion=_area(probs[half:]))


def _mixed(base: Pixels, other: Pixels, patches: NDArray[np.intp], n_patches: int) -> Pixels:
    """Return `base` with some patches replaced by those of `other`."""
    per_side = int(n_patches**0.5)
    patch_px = base.shape[1] // per_side
    chosen = np.zeros(n_patches, dtype=bool)
    chosen[patches] = True
    mask = chosen.reshape(per_side, per_side).repeat(patch_px, 0).repeat(patch_px, 1)
    mixed: Pixels = np.where(mask, other, base)
    return mixed


def _area(probs: NDArray[np.float64]) -> float:
    return float(np.trapezoid(probs, dx=1 / (len(probs) - 1)))
