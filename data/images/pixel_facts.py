"""What the pixels of an image say about it, whatever its size and file say.

- **Detail**: an image that was enlarged has nothing in its finest octave. The measure is the ratio
  of the contrast in the octave of 1 to 2 px to that in the octave of 2 to 4 px, over the centre of
  at most 512 px. It is about the same at every size of a photo, and a third of it after doubling.
- **Flatness and colours**: a graphic has areas of one value, and few colours. The measures are the
  share of neighbouring pixels that are equal, and the number of colours, of 16 levels per channel,
  that cover nine tenths of the image.
- **PDQ**: the perceptual hash by which lists of known images are exchanged; see `pdq`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageChops

from .decode import in_8_bits, over_white
from .inspect_image import upright_grey
from .limits import DEFAULT_LIMITS, ImageLimits, opened
from .pdq import pdq

_CENTRE_PX: Final = 512
_MIN_PX: Final = 32
_ROWS: Final = 512
_REDUCED_PX: Final = 256
_COVERED: Final = 0.9
_BITS: Final = 4
_SQUARES: Final = np.arange(256, dtype=np.int64) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFacts:
    """Measures of the pixels of an image.

    Attributes:
        detail: Contrast of the finest octave by that of the next, 0 or more; None for an image
            below 32 px or of one colour.
        flat_share: Share of horizontal neighbours with equal luma, in [0, 1].
        n_colours: Number of colours that cover nine tenths of the image, 1 to 4,096.
        pdq: Perceptual hash PDQ of `upright_grey`, 64 hex digits.
    """

    detail: float | None
    flat_share: float
    n_colours: int
    pdq: str


def measure_pixels(raw: bytes, *, limits: ImageLimits = DEFAULT_LIMITS) -> PixelFacts:
    """Decode an image in full and return the measures of its pixels. Thread-safe.

    Args:
        raw: Encoded image.
        limits: Limits on bytes and pixels, and the accepted formats.

    Raises:
        UnreadableImage: The bytes are not an accepted image.
    """
    with opened(raw, limits) as image:
        image.load()
        return facts_of_decoded(image)


def facts_of_decoded(image: Image.Image) -> PixelFacts:
    """Return the measures of a decoded image that is still open.

    Pillow's exceptions for a damaged image, `limits.DAMAGE`, pass through.
    """
    return pixel_facts(upright_grey(image), over_white(in_8_bits(image)))


def pixel_facts(grey: Image.Image, rgb: Image.Image) -> PixelFacts:
    """Return the measures of an image.

    Args:
        grey: Image of mode L.
        rgb: The same image in mode RGB.
    """
    return PixelFacts(
        detail=detail_of(grey),
        flat_share=flat_share_of(grey),
        n_colours=n_colours_of(rgb),
        pdq=pdq(grey),
    )


def detail_of(grey: Image.Image) -> float | None:
    """Return the contrast of the finest octave by that of the next; see `PixelFacts.detail`."""
    width, height = (min(side, _CENTRE_PX) // 4 * 4 for side in grey.size)
    if min(width, height) < _MIN_PX:
        return None
    left, top = (grey.width - width) // 2, (grey.height - height) // 2
    centre = grey.crop((left, top, left + width, top + height))
    fine, next_to_it = (_lost_below(centre, factor) for factor in (2, 4))
    return float(np.sqrt(fine / next_to_it)) if next_to_it > 0 else None


def _lost_below(grey: Image.Image, factor: int) -> int:
    """Return the sum of the squared details of less than `factor` pixels."""
    without = grey.reduce(factor).resize(grey.size, Image.Resampling.BICUBIC)
    # The histogram counts each difference, so that the sum is exact and takes 256 products.
    return int(_SQUARES @ ImageChops.difference(grey, without).histogram())


def flat_share_of(grey: Image.Image) -> float:
    """Return the share of horizontal neighbours with equal luma, in up to 512 rows."""
    rows = np.asarray(grey)[:: max(1, grey.height // _ROWS)]
    is_flat = rows[:, 1:] == rows[:, :-1]
    return np.count_nonzero(is_flat) / is_flat.size if is_flat.size else 1.0


def n_colours_of(rgb: Image.Image) -> int:
    """Return the number of colours, of 16 levels per channel, that cover nine tenths."""
    small = np.asarray(rgb.reduce(max(1, min(rgb.size) // _REDUCED_PX))) >> (8 - _BITS)
    codes = small[:, :, 0].astype(np.uint16)
    for channel in (1, 2):
        codes <<= _BITS
        codes |= small[:, :, channel]
    counts = np.sort(np.bincount(codes.ravel()))[::-1]
    return int(np.searchsorted(np.cumsum(counts), _COVERED * codes.size)) + 1
