"""Maps over patches from attention: rollout, and attention weighted by its gradient.

Pure functions on arrays. L blocks, H heads, T = 1 + patches tokens, the class token first.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]


def rollout(attention_lhtt: NDArray[np.float32]) -> Map:
    """Return the attention rollout: the product of the blocks' mean attention matrices.

    Heads are averaged, and the residual connection has weight one half.

    Args:
        attention_lhtt: Softmax of each block and head, (L, H, T, T).

    Returns:
        Share of each token (column) in each output token (row), (T, T); rows sum to 1.

    Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", sec. 3.
    """
    n_tokens = attention_lhtt.shape[-1]
    total = np.eye(n_tokens)
    for heads in attention_lhtt:
        mixed = 0.5 * heads.astype(np.float64).mean(axis=0) + 0.5 * np.eye(n_tokens)
        # A float32 softmax sums to 1 within 1e-6, an error that twelve blocks would accumulate.
        total = mixed / mixed.sum(axis=1, keepdims=True) @ total
    return total


def gradient_weighted(
    attention_lhtt: NDArray[np.float32], gradient_lhtt: NDArray[np.float32]
) -> Map:
    """Return the relevance of each token for the value that the gradient belongs to.

    In each block, the positive part of gradient times attention, averaged over heads, is applied
    to the relevance so far and added to it.

    Args:
        attention_lhtt: Softmax of each block and head, (L, H, T, T).
        gradient_lhtt: Gradient with respect to it, same shape.

    Returns:
        Relevance (T, T), non-negative; the initial value is the identity.

    Source: Chefer, Gur and Wolf 2021, "Generic Attention-model Explainability", eq. 5 and 6.
    """
    total = np.eye(attention_lhtt.shape[-1])
    for heads, gradients in zip(attention_lhtt, gradient_lhtt, strict=True):
        raised = np.maximum(heads.astype(np.float64) * gradients, 0).mean(axis=0)
        total = total + raised @ total
    return total


def patch_map(relevance_tt: Map) -> Map:
    """Return the class token's row as a map over patches, (side, side)."""
    row = relevance_tt[0, 1:]
    side = math.isqrt(len(row))
    return row.reshape(side, side)


def stretched(values: Map) -> Map:
    """Rescale a map to [0, 1]; a constant map becomes 0."""
    low, high = float(values.min()), float(values.max())
    return np.zeros_like(values) if high <= low else (values - low) / (high - low)
