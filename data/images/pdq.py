"""PDQ, the perceptual hash of 256 bits that platforms exchange, in NumPy.

The image is first reduced by a whole factor to about 256 px, which costs a sixth and moves few
bits: see docs/hashes.md for how many.

Source: Facebook ThreatExchange, pdq/cpp/hashing/pdqhashing.cpp and hashing.pdf.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

N_BITS: Final = 256
MATCH_BITS: Final = 31
"""Largest Hamming distance of a match, as among the platforms that exchange PDQ hashes."""

_REDUCED_PX: Final = 256
_SIDE: Final = 64
_KEPT: Final = 16
_PASSES: Final = 2

Plane = NDArray[np.float32]


def pdq(grey: Image.Image) -> str:
    """Return the PDQ hash of an image, 64 hex digits.

    Args:
        grey: Decoded image of mode L.
    """
    factor = max(1, min(grey.size) // _REDUCED_PX)
    return pdq_of(np.asarray(grey.reduce(factor), dtype=np.float32))


def pdq_of(luma_hw: Plane) -> str:
    """Return the PDQ hash of luminance values in [0, 255], which are not reduced first.

    Args:
        luma_hw: Luminance, shape (H, W).
    """
    height, width = luma_hw.shape
    # Both directions commute; each needs one transposition for both of its passes.
    smooth = np.ascontiguousarray(luma_hw)
    for _ in range(_PASSES):
        smooth = _box(smooth, _window(width))
    smooth = np.ascontiguousarray(smooth.T)
    for _ in range(_PASSES):
        smooth = _box(smooth, _window(height))
    smooth = smooth.T
    rows = ((np.arange(_SIDE) + 0.5) * height / _SIDE).astype(np.int64)
    columns = ((np.arange(_SIDE) + 0.5) * width / _SIDE).astype(np.int64)
    cosines = _cosines()
    spectrum = cosines @ smooth[np.ix_(rows, columns)] @ cosines.T
    values = spectrum.ravel()
    # The lower median, as in the reference, so that half of the bits are 1.
    median = np.partition(values, N_BITS // 2 - 1)[N_BITS // 2 - 1]
    # The first value is the lowest bit.
    return np.packbits(values[::-1] > median).tobytes().hex()


def _window(n: int) -> int:
    """Return the width of the box filter along a side of n values."""
    return (n + 2 * _SIDE - 1) // (2 * _SIDE)


def _box(values_hw: Plane, window: int) -> Plane:
    """Return the running means along rows; at the ends, of the values that there are."""
    height, n = values_hw.shape
    after = (window + 2) // 2
    before = window - after
    # Reduced images have windows of a few values, so that adding them is cheaper than a sum table.
    padded = np.zeros((height, n + window - 1), dtype=np.float32)
    padded[:, before : before + n] = values_hw
    sums = padded[:, :n].copy()
    for shift in range(1, window):
        sums += padded[:, shift : shift + n]
    begin = np.maximum(np.arange(n) - before, 0)
    end = np.minimum(np.arange(n) + after, n)
    sums *= (1 / (end - begin)).astype(np.float32)
    return sums


@functools.cache
def _cosines() -> Plane:
    """Return the cosines of frequencies 1 to 16 at 64 places, shape (16, 64)."""
    frequency = np.arange(1, _KEPT + 1)[:, None]
    place = 2 * np.arange(_SIDE)[None, :] + 1
    angles = np.pi / (2 * _SIDE) * frequency * place
    cosines: Plane = (np.sqrt(2 / _SIDE) * np.cos(angles)).astype(np.float32)
    return cosines
