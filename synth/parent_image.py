"""The parent of a picture to be made: encoded bytes in, the pixels that methods work on out."""

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
class ParentPicture:
    """A decoded parent: upright RGB, 8 bits, over white where it is transparent.

    Attributes:
        image: The picture.
        orientation: Orientation in [1, 8] that its file asked for, and that is applied here.
        raw: The file.
    """

    image: Image.Image
    orientation: int
    raw: bytes

    @property
    def rgb(self) -> Rgb:
        """The pixels, shape (H, W, 3), a copy."""
        return np.array(self.image)

    def notes(self) -> dict[str, Any]:
        """Return what a child's row says of the parent: the orientation, where it was turned."""
        return {"turned_from": self.orientation} if self.orientation != 1 else {}

    def file_settings(self) -> dict[str, Any]:
        """Return arguments for `Image.save` that encode an upright child as the parent was.

        Raises:
            SynthError: Its format is none of JPEG, PNG and WebP.
        """
        with opened(self.raw, PHOTO_LIMITS) as image:
            settings = encoding_of(image)
        settings.pop("exif", None)
        return settings


def open_parent(raw: bytes | None) -> ParentPicture:
    """Decode a parent.

    Raises:
        SynthError: There is none, or it cannot be decoded.
    """
    if raw is None:
        raise SynthError("this method needs a parent picture")
    try:
        with opened(raw, PHOTO_LIMITS) as image:
            image.load()
            rgb = to_rgb(image, UPRIGHT)
            # A copy: the file behind the picture is closed with the block.
            return ParentPicture(rgb.copy(), orientation_of(image), raw)
    except UnreadableImage as error:
        raise SynthError(f"the parent cannot be decoded: {error}") from error
