"""Preprocessing of encoded bytes to the network's input, with Pillow and numpy only.

Equal to torchvision's `Resize`, `CenterCrop`, `ToTensor` and `Normalize` on the Pillow image, bit
for bit before the normalisation. Threads run in parallel, since Pillow releases the interpreter
lock while it decodes and resizes.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ....data.images.decode import to_rgb
from ....data.images.limits import DEFAULT_LIMITS, ImageLimits, opened
from .profiles import Profile

# Images longer than this after the resize use `resize_window`: resized whole, an image of
# 1x10000 px would take 5 GB. At a short edge of 440 px this is an aspect ratio of 18 to 1.
MAX_WHOLE_LONG_PX: Final = 8192

FILTERS: Final = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
# Support of each of Pillow's filters in source pixels to either side, at scale 1.
_REACH_PX: Final = {Image.Resampling.BILINEAR: 1.0, Image.Resampling.BICUBIC: 2.0}
# Pillow's fixed-point bits for filter weights on 8-bit channels.
_WEIGHT_BITS: Final = 22


def preprocess(
    raw: bytes, profile: Profile, limits: ImageLimits = DEFAULT_LIMITS
) -> NDArray[np.float32]:
    """Return the network's input for one image, shape (3, crop, crop), channels R, G, B.

    Args:
        raw: Encoded bytes of the image.
        profile: Preprocessing profile.
        limits: Size and memory limits of decoding.

    Raises:
        UnreadableImage: The bytes cannot be decoded within `limits`.
    """
    with opened(raw, limits) as image:
        image.load()
        return preprocess_decoded(image, profile)


def preprocess_decoded(image: Image.Image, profile: Profile) -> NDArray[np.float32]:
    """Return the network's input for a decoded image that is still open.

    Raises:
        Exception: Any of Pillow's errors for a damaged image; see `data.images.limits.DAMAGE`.
    """
    return normalise(centre_square(to_rgb(image, profile.decode), profile), profile)


def centre_square(image: Image.Image, profile: Profile) -> NDArray[np.uint8]:
    """Return the scored square of an RGB image, shape (crop, crop, 3)."""
    out_width, out_height = profile_size(image.size, profile)
    left, top = (
        centre_offset(out_width, profile.crop_px),
        centre_offset(out_height, profile.crop_px),
    )
    window = (left, top, left + profile.crop_px, top + profile.crop_px)
    resampling = FILTERS[profile.interpolation]
    if max(out_width, out_height) > MAX_WHOLE_LONG_PX:
        return resize_window(image, (out_width, out_height), window, resampling)
    return np.asarray(_resized_crop(image, (out_width, out_height), window, resampling))


def profile_size(size_px: tuple[int, int], profile: Profile) -> tuple[int, int]:
    """Return the width and height in pixels to which a profile resizes an image."""
    if profile.fit == "stretch":
        return profile.resize_px, profile.resize_px
    return resized_size(size_px, profile.resize_px)


def resized_size(size_px: tuple[int, int], short_px: int) -> tuple[int, int]:
    """Return width and height with the short edge at `short_px` and the long edge rounded down."""
    width, height = size_px
    if width <= height:
        return short_px, int(short_px * height / width)
    return int(short_px * width / height), short_px


def centre_offset(length_px: int, crop_px: int) -> int:
    """Return the start of a centred crop; halves round to even, as in torchvision's CenterCrop."""
    return round((length_px - crop_px) / 2.0)


def square_in_image(
    size_px: tuple[int, int], profile: Profile
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the scored square in pixels of the decoded image."""
    resized = profile_size(size_px, profile)
    edges = []
    for axis in (0, 1):
        start = centre_offset(resized[axis], profile.crop_px)
        scale = size_px[axis] / resized[axis]
        edges.append((start * scale, (start + profile.crop_px) * scale))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def normalise(square_u8_hwc: NDArray[np.uint8], profile: Profile) -> NDArray[np.float32]:
    """Return a square scaled to [0, 1], minus mean, divided by std: float32, shape (3, H, W)."""
    table = _normalised_values(profile.mean, profile.std)
    out = np.empty((3, *square_u8_hwc.shape[:2]), dtype=np.float32)
    for channel in range(3):
        # 8-bit indices are never out of range, and the mode "raise" would buffer the output.
        np.take(table[channel], square_u8_hwc[:, :, channel], out=out[channel], mode="clip")
    return out


@functools.lru_cache(maxsize=8)
def _normalised_values(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return the normalised value of each of the 256 levels per channel, shape (3, 256)."""
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    shift = np.asarray(mean, dtype=np.float32)[:, None]
    return (scaled[None, :] - shift) / np.asarray(std, dtype=np.float32)[:, None]


def _resized_crop(
    image: Image.Image,
    out_size_px: tuple[int, int],
    window: tuple[int, int, int, int],
    resampling: Image.Resampling,
) -> Image.Image:
    """Return `image.resize(out_size_px, resampling).crop(window)`, bit for bit, at less cost.

    Pillow filters along the rows, rounds to 8 bits, then filters along the columns. Split into two
    calls, the first omits the rows and the second the columns outside the window. (Pillow's own
    `box` stores the window as 32-bit floats and differs by up to two levels.)
    """
    left, top, right, bottom = window
    width, height = image.size
    out_width, out_height = out_size_px
    if height > 2 * width:  # columns may come first, see `resize_window`
        return image.resize(out_size_px, resampling).crop(window)
    scale = height / out_height
    reach = _REACH_PX[resampling] * max(scale, 1.0)
    # One row more than the filter's support on either side, as a margin for rounding.
    y0 = max(0, math.floor((top + 0.5) * scale - reach) - 1)
    y1 = min(height, math.ceil((bottom - 0.5) * scale + reach) + 1)
    across = image.crop((0, y0, width, y1)).resize((out_width, y1 - y0), resampling)
    seen = Image.new("RGB", (right - left, height))
    seen.paste(across.crop((left, 0, right, y1 - y0)), (0, y0))
    down = seen.resize((right - left, out_height), resampling)
    return down.crop((0, top, right - left, bottom))


def resize_window(
    image: Image.Image,
    out_size_px: tuple[int, int],
    window: tuple[int, int, int, int],
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> NDArray[np.uint8]:
    """Return a window of `image.resize(out_size_px, resampling)`, bit for bit.

    Only the pixels under the window are read. Slower than Pillow for images of usual shape.

    Args:
        image: Image in mode RGB.
        out_size_px: Width and height of the whole resized image, which is never made.
        window: Left, top, right and bottom in the resized image.
        resampling: Bilinear or bicubic filter.

    Returns:
        Pixels of the window, shape (H, W, 3).

    Source: Pillow, src/libImaging/Resample.c (`precompute_coeffs`, `ImagingResample`).
    """
    left, top, right, bottom = window
    columns, column_weights = _taps(image.width, out_size_px[0], left, right, resampling)
    rows, row_weights = _taps(image.height, out_size_px[1], top, bottom, resampling)
    x0, y0 = int(columns.min()), int(rows.min())
    box = (x0, y0, int(columns.max()) + 1, int(rows.max()) + 1)
    source = np.asarray(image.crop(box))
    # Pillow rounds to 8 bits between the passes. Since version 13 it filters the columns first
    # where the height shrinks much more than the width.
    if image.height > out_size_px[1] and image.height > 2 * image.width:
        half = _down(source, rows - y0, row_weights)
        return _across(half, columns - x0, column_weights)
    half = _across(source, columns - x0, column_weights)
    return _down(half, rows - y0, row_weights)


def _across(
    source_u8_hwc: NDArray[np.uint8], columns: NDArray[np.int64], weights: NDArray[np.int64]
) -> NDArray[np.uint8]:
    out = np.empty((len(source_u8_hwc), len(columns), 3), dtype=np.uint8)
    for y, line in enumerate(source_u8_hwc):
        out[y] = _weighted(line[columns], weights)
    return out


def _down(
    source_u8_hwc: NDArray[np.uint8], rows: NDArray[np.int64], weights: NDArray[np.int64]
) -> NDArray[np.uint8]:
    out = np.empty((len(rows), source_u8_hwc.shape[1], 3), dtype=np.uint8)
    for x in range(source_u8_hwc.shape[1]):
        out[:, x] = _weighted(source_u8_hwc[rows, x], weights)
    return out


def _weighted(taps_u8_nkc: NDArray[np.uint8], weights_nk: NDArray[np.int64]) -> NDArray[np.uint8]:
    total: NDArray[np.int64] = (taps_u8_nkc * weights_nk[:, :, None]).sum(axis=1)
    rounded = (total + (1 << (_WEIGHT_BITS - 1))) >> _WEIGHT_BITS
    clipped: NDArray[np.uint8] = np.clip(rounded, 0, 255).astype(np.uint8)
    return clipped


def _taps(
    in_px: int, out_px: int, start: int, stop: int, resampling: Image.Resampling
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return source positions and fixed-point weights of the outputs start to stop - 1.

    Both have shape (stop - start, k); positions beyond the image's edge have weight 0.
    """
    scale = in_px / out_px
    widening = max(scale, 1.0)
    reach = _REACH_PX[resampling] * widening
    centres = (np.arange(start, stop, dtype=np.float64) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + reach + 0.5).astype(np.int64), in_px)
    offsets = np.arange(math.ceil(reach) * 2 + 1)
    places = first[:, None] + offsets[None, :]
    distance = np.abs((places - centres[:, None] + 0.5) * (1.0 / widening))
    is_cubic = resampling is Image.Resampling.BICUBIC
    heights = _bicubic(distance) if is_cubic else np.maximum(1.0 - distance, 0.0)
    weights = np.where(places < last[:, None], heights, 0.0)
    weights = weights / weights.sum(axis=1, keepdims=True)
    # As in Pillow: plus or minus 0.5, then truncated, which rounds halves away from zero.
    fixed = (weights * (1 << _WEIGHT_BITS) + np.copysign(0.5, weights)).astype(np.int64)
    return np.minimum(places, in_px - 1), fixed


def _bicubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Pillow's cubic convolution kernel at distances from the centre, with a = -0.5.

    Source: Keys 1981, "Cubic Convolution Interpolation for Digital Image Processing".
    """
    a, x = -0.5, distance
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
