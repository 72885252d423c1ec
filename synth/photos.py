"""A photo of a folder that something is learnt from, read as everything else is."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..data.errors import InputError, UnreadableImage
from ..data.images.decode import UPRIGHT, decode_rgb


def read_photo(path: Path) -> Image.Image:
    """Return a photo as upright RGB.

    Raises:
        InputError: It cannot be decoded.
    """
    try:
        return decode_rgb(path.read_bytes(), UPRIGHT)
    except (OSError, UnreadableImage) as error:
        raise InputError(f"{path} cannot be decoded: {error}; take it out") from error
