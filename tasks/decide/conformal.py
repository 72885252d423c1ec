"""Conformal p-values of images against real ones, and the flags of a batch by them.

The p-value of a score s against n real images is (1 + number of reals with a score >= s) / (n + 1).
For a real image that is exchangeable with them, P(p <= u) <= u for every u.

Source: Bates, Candès, Lei, Romano and Sesia 2023, "Testing for outliers with conformal p-values",
Annals of Statistics 51(1). P-values against one set of reals are positively dependent, so the
procedure of Benjamini and Hochberg 1995 bounds the mean share of reals among the flagged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def p_values(logits: NDArray[np.float32], real_logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the conformal p-value of each logit.

    Args:
        logits: Logits of images, shape (N,); NaN gives NaN.
        real_logits: Logits of the real images in ascending order, shape (M,).

    Returns:
        P-values in [1 / (M + 1), 1], shape (N,).
    """
    n_reals = len(real_logits)
    at_or_above = n_reals - np.searchsorted(real_logits, logits, side="left")
    values = (1 + at_or_above) / (n_reals + 1)
    return np.where(np.isnan(logits), np.nan, values)


def rejection_limit(p_real: NDArray[np.float64], level: float) -> float:
    """Return the largest p-value that is flagged in a batch; 0 if none is.

    Args:
        p_real: P-values of the images of the batch, shape (N,); NaN for images without a score,
            which count as images of the batch that are not flagged.
        level: Mean share of reals among the flagged, in (0, 1).
    """
    n_images = len(p_real)
    ascending = np.sort(p_real[~np.isnan(p_real)])
    is_below = ascending <= level * np.arange(1, len(ascending) + 1) / max(n_images, 1)
    return float(ascending[np.flatnonzero(is_below)[-1]]) if is_below.any() else 0.0
