"""Blend of a photo and its reconstruction by frequency, in blocks of 8x8 pixels.

JPEG stores frequencies per block, so a blend by frequency is closer to real files than a blend of
pixels. Source: the frequency blend of Dual Data Alignment (Chen et al. 2025, section 3.3),
implemented from its description.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from ..data.errors import SynthError

BLOCK_PX = 8


def blend_in_dct(
    photo_u8_hwc: NDArray[np.uint8], other_u8_hwc: NDArray[np.uint8], *, share: float, seed: int
) -> NDArray[np.uint8]:
    """Replace a share of a photo's frequencies by those of another image.

    Args:
        photo_u8_hwc: Photo, RGB, shape (H, W, 3).
        other_u8_hwc: Other image, RGB, of the same shape.
        share: Share of the 64 frequencies of a block, in [0, 1]; the same ones in every block.
        seed: Seed for the choice of the frequencies.

    Returns:
        Blend, RGB, shape (H, W, 3).

    Raises:
        SynthError: The shapes differ, or the share is out of range.
    """
    if photo_u8_hwc.shape != other_u8_hwc.shape:
        raise SynthError(
            f"images of shapes {photo_u8_hwc.shape} and {other_u8_hwc.shape} cannot be blended; "
            "both must have the same shape"
        )
    if not 0 <= share <= 1:
        raise SynthError(f"share = {share}; allowed: 0 to 1")
    taken = np.zeros(BLOCK_PX**2, bool)
    n_taken = round(share * taken.size)
    taken[np.random.default_rng(seed).permutation(taken.size)[:n_taken]] = True
    pick = taken.reshape(BLOCK_PX, BLOCK_PX)[None, None, :, :, None]
    mixed = np.where(pick, _blocks_dct(other_u8_hwc), _blocks_dct(photo_u8_hwc))
    height, width = photo_u8_hwc.shape[:2]
    return _from_blocks(mixed)[:height, :width]


def _blocks_dct(rgb_u8_hwc: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the orthonormal DCT of every block, shape (rows, columns, 8, 8, 3)."""
    height, width = rgb_u8_hwc.shape[:2]
    pads = ((0, -height % BLOCK_PX), (0, -width % BLOCK_PX), (0, 0))
    padded = np.pad(rgb_u8_hwc, pads, mode="edge").astype(np.float32)
    rows, columns = padded.shape[0] // BLOCK_PX, padded.shape[1] // BLOCK_PX
    blocks = padded.reshape(rows, BLOCK_PX, columns, BLOCK_PX, 3).swapaxes(1, 2)
    out: NDArray[np.float32] = dctn(blocks, axes=(2, 3), norm="ortho")
    return out


def _from_blocks(blocks: NDArray[np.float32]) -> NDArray[np.uint8]:
    pixels = idctn(blocks, axes=(2, 3), norm="ortho").swapaxes(1, 2)
    rows, columns = blocks.shape[:2]
    whole = pixels.reshape(rows * BLOCK_PX, columns * BLOCK_PX, 3)
    out: NDArray[np.uint8] = np.clip(np.rint(whole), 0, 255).astype(np.uint8)
    return out
