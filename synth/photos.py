"""Reading of training photos, with the decoder for all images."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..data.errors import InputError, UnreadableImage
from ..data.images.decode import UPRIGHT, decode_rgb


def read_photo(path: Path) -> Image.Image:
    """Decode a photo to upright RGB.

    Raises:
        InputError: The photo cannot be decoded.
    """
    try:
        return decode_rgb(path.read_bytes(), UPRIGHT)
    except (OSError, UnreadableImage) as error:
        raise InputError(f"{path} cannot be decoded: {error}; remove it") from error
