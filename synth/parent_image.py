"""The parent of an image to make, decoded for the methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..data.errors import SynthError, UnreadableImage
from ..data.images.decode import UPRIGHT, orientation_of, to_rgb
from ..data.images.limits import opened
from .generators.answers import Rgb
from .reconstruct import PHOTO_LIMITS, encoding_of


@dataclass(frozen=True, slots=True)
class ParentImage:
    """A decoded parent: upright RGB of 8 bits, on white where it is transparent.

    Attributes:
        image: Decoded image.
        orientation: EXIF orientation of the file, 1 to 8, which is applied to `image`.
        raw: Encoded file.
    """

    image: Image.Image
    orientation: int
    raw: bytes

    @property
    def rgb(self) -> Rgb:
        """Copy of the pixels, shape (H, W, 3)."""
        return np.array(self.image)

    def notes(self) -> dict[str, Any]:
        """Return the notes about the parent for a child's row: its orientation, if not 1."""
        return {"turned_from": self.orientation} if self.orientation != 1 else {}

    def file_settings(self) -> dict[str, Any]:
        """Return arguments for `Image.save` that encode an upright child like the parent.

        Raises:
            SynthError: The parent is not a JPEG, PNG or WebP.
        """
        with opened(self.raw, PHOTO_LIMITS) as image:
            settings = encoding_of(image)
        settings.pop("exif", None)
        return settings


def open_parent(raw: bytes | None) -> ParentImage:
    """Decode a parent.

    Args:
        raw: Encoded parent; None is refused.

    Raises:
        SynthError: There is no parent, or it cannot be decoded.
    """
    if raw is None:
        raise SynthError("this method needs a parent image")
    try:
        with opened(raw, PHOTO_LIMITS) as image:
            image.load()
            rgb = to_rgb(image, UPRIGHT)
            # A copy, since the file behind the image is closed with the block.
            return ParentImage(rgb.copy(), orientation_of(image), raw)
    except UnreadableImage as error:
        raise SynthError(f"the parent cannot be decoded: {error}") from error
