"""Random views of decoded images, the inputs of the embedded detector in training.

A view has the geometry of scoring (short edge to 440 px, 384 px of it), native pixels, or a scale
between. Both classes are re-encoded alike, so that neither codec nor size reveals the class.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ....data.images.decode import decode_rgb
from ..inputs.preprocess import normalise
from ..inputs.profiles import DEFAULT_PROFILE, profile_for

_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def decode(raw: bytes) -> Image.Image:
    """Decode an image to RGB as scoring does.

    Raises:
        UnreadableImage: The bytes cannot be decoded.
    """
    return decode_rgb(raw, profile_for(DEFAULT_PROFILE, 384).decode)


def random_view(
    image: Image.Image,
    side_px: int,
    full_px: int,
    rng: np.random.Generator,
    *,
    strength: float = 1.0,
    of_short_px: int | None = None,
) -> NDArray[np.uint8]:
    """Draw a random square of an image, shape (side, side, 3).

    The same generator state gives both images of a pair the same view.

    Args:
        image: Decoded image.
        side_px: Side of the square; smaller than `full_px` early in training.
        full_px: Side of the scoring input, which defines the scale of the scoring geometry.
        rng: Generator of every choice; none depends on the image's content.
        strength: Share of resizing and re-encoding, from 0 (neither) to 1 (full). Decoder traces
            are learnt sooner from clean views, and more robustly when the rest follows.
        of_short_px: Short edge of the whole image that `image` is a part of; default: its own.
    """
    short = min(image.size)
    scored_scale = profile_for(DEFAULT_PROFILE, full_px).resize_px / (of_short_px or short)
    kind = rng.random()
    if kind < 0.6:
        scale = scored_scale
    elif kind < 0.8:
        scale = 1.0
    else:
        scale = float(np.exp(rng.uniform(np.log(min(scored_scale, 1.0)), 0.0)))
    scale = max(scale, side_px / short)
    window = side_px / scale
    left = rng.uniform(0, image.width - window)
    top = rng.uniform(0, image.height - window)
    # Whole pixels, since a window between pixels would blur native crops.
    box_px = min(max(round(window), 1), image.width, image.height)
    x, y = min(int(left), image.width - box_px), min(int(top), image.height - box_px)
    view = image.crop((x, y, x + box_px, y + box_px))
    if rng.random() < 0.3 * strength:
        smaller = max(round(box_px * float(rng.uniform(0.5, 1.0))), 16)
        view = view.resize((smaller, smaller), _FILTERS[int(rng.integers(len(_FILTERS)))])
    view = _reencoded(view, rng, strength)
    if view.size != (side_px, side_px):
        view = view.resize((side_px, side_px), Image.Resampling.BILINEAR)
    pixels = np.asarray(view)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return pixels


def normalised(views_u8_nhwc: NDArray[np.uint8]) -> torch.Tensor:
    """Return views normalised as in scoring, float32, shape (N, 3, H, W)."""
    profile = profile_for(DEFAULT_PROFILE, views_u8_nhwc.shape[1])
    return torch.from_numpy(np.stack([normalise(view, profile) for view in views_u8_nhwc]))


def _reencoded(view: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Encode a view and decode it again, at random.

    At strength 1, half of the views become JPEG and a tenth WebP, at quality 60 to 100.
    """
    kind, quality = rng.random(), int(rng.integers(60, 101))
    subsampling = int(rng.choice((0, 2)))
    if kind >= 0.6 * strength:
        return view
    buffer = io.BytesIO()
    if kind < 0.5 * strength:
        view.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    else:
        view.save(buffer, "WEBP", quality=quality, method=1)
    return decode(buffer.getvalue())
