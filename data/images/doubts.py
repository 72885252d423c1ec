"""Detection of images that viewers may show differently from the scored pixels.

The detector scores the first frame, composited over white, in stored colours. A viewer may show
another frame, use another background, or apply a colour profile that changes the image beyond
recognition. A low score then says little, and the image goes to human review.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..vocabulary import Doubt
from .decode import follow_profile, in_8_bits, over_white
from .frames import frame_durations_ms
from .limits import DAMAGE
from .trimming import MAX_ICC_BYTES

# Largest side of the examined sample, taken by nearest neighbour.
_SAMPLE_PX: Final = 256
_INVISIBLE: Final = 16
_OPAQUE: Final = 240
# Soft edges and shadows of cut-out objects stay well below this share.
_MAX_SHARE_SEE_THROUGH: Final = 0.25
_MIN_MEAN_OPACITY: Final = 0.05
_FLAT_LEVELS: Final = 10.0
_BLANK_LEVELS: Final = 3.0
_BRIEF_SHARE: Final = 0.1
# 0.45455 is the usual gamma; viewers apply a gamma, Pillow does not.
_GAMMAS: Final = (0.3, 0.75)
# Mean change over all colours; profiles of wide-gamut displays and of printing change 5 to 30.
_MAX_PROFILE_LEVELS: Final = 48.0


def doubt_of(raw: bytes, image: Image.Image, n_frames: int) -> Doubt | None:
    """Return why viewers may show a different image from the one scored; None for most images.

    Args:
        raw: Encoded image.
        image: Decoded image, at its first frame.
        n_frames: Number of frames in the file.
    """
    if n_frames > 1 and _is_outside_animation(image):
        return Doubt.NOT_A_FRAME
    if image.has_transparency_data or n_frames > 1:
        sample = _sample(image)
        if _depends_on_background(sample):
            return Doubt.TRANSPARENT
        if n_frames > 1 and _is_blank(sample):
            return Doubt.BLANK_FRAME
    if n_frames > 1 and _is_brief(frame_durations_ms(raw, str(image.format))):
        return Doubt.BRIEF_FRAME
    return Doubt.COLOURS if _has_other_colours(image) else None


def _sample(image: Image.Image) -> Image.Image:
    size = (min(image.width, _SAMPLE_PX), min(image.height, _SAMPLE_PX))
    return in_8_bits(image.resize(size, Image.Resampling.NEAREST))


def _is_outside_animation(image: Image.Image) -> bool:
    """Return whether the image is the default image of an animated PNG and none of its frames."""
    return bool(image.info.get("default_image", False))


def _depends_on_background(sample: Image.Image) -> bool:
    """Return whether a background other than white changes the image, or little is visible."""
    if not sample.has_transparency_data:
        return False
    rgba = np.asarray(sample.convert("RGBA"))
    alpha = rgba[..., 3]
    visible = alpha > _INVISIBLE
    if not visible.any() or alpha.mean() < 255 * _MIN_MEAN_OPACITY:
        return True
    if (visible & (alpha < _OPAQUE)).mean() > _MAX_SHARE_SEE_THROUGH:
        return True
    colours: NDArray[np.uint8] = rgba[visible][:, :3]
    return bool(alpha.std() > _FLAT_LEVELS and colours.std(axis=0).max() < _FLAT_LEVELS)


def _is_blank(sample: Image.Image) -> bool:
    shown = np.asarray(over_white(sample))
    return bool(shown.reshape(-1, 3).std(axis=0).max() < _BLANK_LEVELS)


def _is_brief(durations_ms: list[int]) -> bool:
    """Return whether the first frame is short, and much longer frames fill most of the time."""
    whole = sum(durations_ms)
    if whole <= 0 or durations_ms[0] >= _BRIEF_SHARE * whole:
        return False
    longer = sum(each for each in durations_ms if _BRIEF_SHARE * each > durations_ms[0])
    return max(longer, *durations_ms) > 0.5 * whole


def _has_other_colours(image: Image.Image) -> bool:
    icc = image.info.get("icc_profile")
    if isinstance(icc, bytes) and 0 < len(icc) <= MAX_ICC_BYTES:
        return image.mode != "CMYK" and _profile_levels(icc) > _MAX_PROFILE_LEVELS
    gamma = image.info.get("gamma")
    if not isinstance(gamma, float) or "srgb" in image.info:
        return False
    return gamma > 0 and not _GAMMAS[0] <= gamma <= _GAMMAS[1]


@functools.lru_cache(maxsize=64)
def _profile_levels(icc: bytes) -> float:
    """Return the mean change of colours by a profile, in levels; 0 for a damaged profile."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    image = Image.fromarray(np.ascontiguousarray(cube))
    try:
        followed = follow_profile(image, icc)
        if followed is None:
            grey = Image.fromarray(np.arange(256, dtype=np.uint8)[None, :])
            image, followed = grey.convert("RGB"), follow_profile(grey, icc)
    except DAMAGE:
        return 0.0
    if followed is None:
        return 0.0
    change = np.asarray(followed).astype(np.float64) - np.asarray(image)
    return float(np.abs(change).mean())
