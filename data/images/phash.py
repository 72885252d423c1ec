"""The perceptual hash of an image, `imagehash.phash`, in less time.

Most of its time goes into the first pass of Pillow's resize, which narrows every row to 32 px: a
matrix product. Pillow computes it in integers, weight by weight. The same integers are computed
here in float32 by the machine's matrix products, without rounding, so that every pixel is equal.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from PIL import Image

# Side of the square that `imagehash.phash` reduces an image to.
_SIDE_PX: Final = 32
_LANCZOS: Final = Image.Resampling.LANCZOS
_LOBES: Final = 3
# Bits behind the point of Pillow's weights: Resample.c, PRECISION_BITS.
_BITS: Final = 22
# Weights are split into multiples of 256 and a rest, each with sums below 2**24, which float32
# holds without rounding.
_LOW: Final = 256
# Neighbouring columns share most of their pixels, so they are computed in groups: of four, which
# with both parts of their weights are the eight columns that OpenBLAS multiplies fastest.
_GROUP_PX: Final = 4
_N_GROUPS: Final = _SIDE_PX // _GROUP_PX
# Narrower rows are not worth it. Weights of wider ones are large, and so may be their sums.
_WIDTHS_PX: Final = range(256, 4097)
# Above, OpenBLAS wakes threads for a product; other images have the other cores.
_MAX_PRODUCT: Final = 2**18
# Bounds the copy in float32 to 1 MB, which stays in the cache of a core.
_STRIP_PIXELS: Final = 2**18

_Weights = tuple[int, NDArray[np.float32]]


def phash(grey: Image.Image) -> str:
    """Return `imagehash.phash` of an image as 16 hex digits.

    Args:
        grey: Decoded image of mode L.
    """
    import imagehash

    # An image of the final size is not resized again.
    return str(imagehash.phash(reduced(grey)))


def reduced(grey: Image.Image) -> Image.Image:
    """Return `grey.resize((32, 32), LANCZOS)`, equal in every pixel.

    Args:
        grey: Decoded image of mode L.
    """
    width_px, height_px = grey.size
    # Pillow resizes images of twice their width in height, or nearly so, in columns first.
    is_tall = 9 * height_px > 16 * width_px
    if width_px in _WIDTHS_PX and not is_tall and is_as_pillows():
        grey = Image.fromarray(narrowed(np.asarray(grey)))
    return grey.resize((_SIDE_PX, _SIDE_PX), _LANCZOS)


@functools.cache
def is_as_pillows() -> bool:
    """Return whether the installed Pillow computes what is computed here, tried on noise."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 500), dtype=np.uint8)
    expected = Image.fromarray(noise).resize((_SIDE_PX, len(noise)), _LANCZOS)
    return np.array_equal(narrowed(noise), np.asarray(expected))


def narrowed(grey_u8_hw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image with its rows narrowed to 32 px, as by Pillow's first pass.

    Few calls of NumPy, since each hands the interpreter to another thread.

    Args:
        grey_u8_hw: Grey image, at least 256 px wide.
    """
    height_px, width_px = grey_u8_hw.shape
    left_px, weights = _weights(width_px)
    n_groups, _, n_taps, n_sums = weights.shape
    step_px = width_px // n_groups
    row_px = max((n_groups - 1) * step_px + n_taps, left_px + width_px)
    n_rows = max(1, _MAX_PRODUCT // (n_taps * n_sums))
    n_blocks = min(max(1, _STRIP_PIXELS // (n_rows * row_px)), -(-height_px // n_rows))
    n_strips = -(-height_px // (n_blocks * n_rows))
    # Whole blocks of rows; what lies below the image, of an earlier strip, is cut off again.
    strip = np.zeros((n_blocks * n_rows, row_px), dtype=np.float32)
    row_bytes, pixel_bytes = strip.strides
    windows = as_strided(
        strip,
        (n_groups, n_blocks, n_rows, n_taps),
        (step_px * pixel_bytes, n_rows * row_bytes, row_bytes, pixel_bytes),
        writeable=False,
    )
    sums = np.empty((n_groups, n_strips, n_blocks, n_rows, n_sums), dtype=np.float32)
    for index in range(n_strips):
        rows = grey_u8_hw[index * len(strip) : (index + 1) * len(strip)]
        strip[: len(rows), left_px : left_px + width_px] = rows
        np.matmul(windows, weights, out=sums[:, index])
    parts = sums.reshape(n_groups, -1, n_sums)[:, :height_px].astype(np.int32)
    whole = parts[:, :, :_GROUP_PX] * _LOW
    whole += parts[:, :, _GROUP_PX:]
    whole += 1 << (_BITS - 1)
    whole >>= _BITS
    np.clip(whole, 0, 255, out=whole)
    return whole.astype(np.uint8).transpose(1, 0, 2).reshape(height_px, _SIDE_PX)


@functools.lru_cache(maxsize=128)
def _weights(width_px: int) -> _Weights:
    """Return Pillow's weights of a row's pixels, by groups of columns.

    The windows of the groups are equally wide, and begin at multiples of an eighth of the width,
    rounded down, so that one call multiplies all of them.

    The maths is that of Pillow's Resample.c, `precompute_coeffs` and `normalize_coeffs_8bpc`.

    Returns:
        Number of pixels of the first window that lie left of the row, and the weights, shape
        (groups, 1, pixels, 2 x columns): multiples of 256 by 256, and the rest.
    """
    scale = width_px / _SIDE_PX
    centre = (np.arange(_SIDE_PX) + 0.5) * scale
    first = np.maximum((centre - _LOBES * scale + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + _LOBES * scale + 0.5).astype(np.int64), width_px)
    steps = np.arange(_N_GROUPS) * (width_px // _N_GROUPS)
    left_px = int((steps - first[::_GROUP_PX]).max())
    starts = steps - left_px
    n_taps = int((last[_GROUP_PX - 1 :: _GROUP_PX] - starts).max())
    # Distances of a group's pixels from the centre of each of its columns, shape (32, pixels).
    tap = np.arange(n_taps) / scale
    begin = (np.repeat(starts, _GROUP_PX) - centre + 0.5) / scale
    at = begin[:, None] + tap
    at[at == 0] = 1e-9
    # sin(a + b) = sin(a) cos(b) + cos(a) sin(b), so that the sine of each sum is two products.
    third = np.pi / _LOBES
    sines = np.stack([np.sin(third * begin), np.cos(third * begin)], axis=1)
    sine = sines @ np.stack([np.cos(third * tap), np.sin(third * tap)])
    sine[at == 1e-9] = third * 1e-9
    # sin(x) sin(x/3) = sin(x/3)**2 (3 - 4 sin(x/3)**2); constant factors are divided away.
    squared = sine * sine
    lanczos = squared * (3 - 4 * squared) / (at * at)
    lanczos[np.abs(at) >= _LOBES] = 0
    # Pixels left and right of the row, which the outer windows reach, do not count.
    pixel = np.repeat(starts, _GROUP_PX)[:, None] + np.arange(n_taps)
    lanczos[(pixel < 0) | (pixel >= width_px)] = 0
    whole = np.rint(lanczos * ((1 << _BITS) / lanczos.sum(axis=1, keepdims=True)))
    high = np.rint(whole / _LOW)
    parts = np.stack([high, whole - high * _LOW]).astype(np.float32)
    by_group = parts.reshape(2, _N_GROUPS, _GROUP_PX, n_taps).transpose(1, 3, 0, 2)
    return left_px, by_group.reshape(_N_GROUPS, 1, n_taps, 2 * _GROUP_PX)
