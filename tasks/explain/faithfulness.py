"""Whether a map over patches tells what the score hangs on: deletion and insertion curves.

Petsiuk, Das and Saenko 2018 (RISE), on patches: the most relevant ones are taken away first, or
put back first, and the area under the probability's curve is held against random orders.
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
    """Areas under two curves, in [0, 1] of a probability.

    Attributes:
        deletion: Lower is better: the score falls early.
        insertion: Higher is better: the score comes back early.
    """

    deletion: float
    insertion: float


def curves(pixels_chw: Pixels, relevance: NDArray[np.float64], score: Score) -> Curves:
    """Return both areas for one picture and one map.

    Args:
        pixels_chw: Prepared, (3, S, S).
        relevance: (P, P) of its patches; equal ones in reading order.
        score: The probability whose explanation the map is meant to be.
    """
    order = np.argsort(-relevance.ravel(), kind="stable")
    # Zero is the mean colour after normalisation.
    empty = np.zeros_like(pixels_chw)
    cuts = np.linspace(0, len(order), STEPS + 1).round().astype(int)
    gone = [_mixed(pixels_chw, empty, order[:cut], len(order)) for cut in cuts]
    back = [_mixed(empty, pixels_chw, order[:cut], len(order)) for cut in cuts]
    probs = score(np.stack(gone + back))
    half = len(cuts)
    return Curves(deletion=_area(probs[:half]), insertion=_area(probs[half:]))


def _mixed(base: Pixels, other: Pixels, patches: NDArray[np.intp], n_patches: int) -> Pixels:
    """Return `base` with these patches taken from `other`."""
    per_side = int(n_patches**0.5)
    patch_px = base.shape[1] // per_side
    chosen = np.zeros(n_patches, dtype=bool)
    chosen[patches] = True
    mask = chosen.reshape(per_side, per_side).repeat(patch_px, 0).repeat(patch_px, 1)
    mixed: Pixels = np.where(mask, other, base)
    return mixed


def _area(probs: NDArray[np.float64]) -> float:
    return float(np.trapezoid(probs, dx=1 / (len(probs) - 1)))
