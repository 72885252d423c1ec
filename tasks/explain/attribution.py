"""From attention to a map over patches: rollout, and attention weighted by its gradient.

Pure functions on arrays. L blocks, H heads, T = 1 + patches tokens, the class token first.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]


def rollout(attention_lhtt: NDArray[np.float32]) -> Map:
    """Return how attention mixes the tokens from the first block to the last.

    Abnar and Zuidema 2020, section 3: heads are averaged, the residual connection counts half,
    and the blocks' matrices are multiplied.

    Returns:
        (T, T), each row sums to 1.
    """
    n_tokens = attention_lhtt.shape[-1]
    total = np.eye(n_tokens)
    for heads in attention_lhtt:
        mixed = 0.5 * heads.astype(np.float64).mean(axis=0) + 0.5 * np.eye(n_tokens)
        # Softmax in float32 sums to 1 within 1e-6; twelve blocks would add that up.
        total = mixed / mixed.sum(axis=1, keepdims=True) @ total
    return total


def gradient_weighted(
    attention_lhtt: NDArray[np.float32], gradient_lhtt: NDArray[np.float32]
) -> Map:
    """Return how much each token's attention raises what the gradient is of.

    Chefer, Gur and Wolf 2021, equations 5 and 6: in each block the positive part of gradient
    times attention, averaged over heads, is added to what the tokens hold already.

    Returns:
        (T, T), none negative; starts from the identity.
    """
    total = np.eye(attention_lhtt.shape[-1])
    for heads, gradients in zip(attention_lhtt, gradient_lhtt, strict=True):
        raised = np.maximum(heads.astype(np.float64) * gradients, 0).mean(axis=0)
        total = total + raised @ total
    return total


def patch_map(relevance_tt: Map) -> Map:
    """Return what the class token takes from each patch, as a square of patches (side, side)."""
    row = relevance_tt[0, 1:]
    side = math.isqrt(len(row))
    return row.reshape(side, side)


def stretched(values: Map) -> Map:
    """Stretch a map to 0 to 1; one that is the same everywhere becomes 0."""
    low, high = float(values.min()), float(values.max())
    return np.zeros_like(values) if high <= low else (values - low) / (high - low)
