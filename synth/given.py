"""Pictures that a user gives for images of the lake, each named by its image id."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..data.errors import SynthError


def given_picture(
    folder: Path, image_id: str, size_px: tuple[int, int], *, what: str
) -> Image.Image:
    """The picture `IMAGE_ID.png` of a folder, decoded.

    Args:
        folder: Of such pictures.
        image_id: Of the image that it belongs to.
        size_px: Width and height of that image, which it must have too.
        what: What it is, for messages: `mask` or `control`.

    Raises:
        SynthError: There is none for this image, it cannot be read, or its size is another.
    """
    path = folder / f"{image_id}.png"
    try:
        image = Image.open(path)
        image.load()
    except FileNotFoundError:
        raise SynthError(
            f"{folder} has no {what} for this picture; allowed: {image_id}.png"
        ) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SynthError(f"the {what} {path} cannot be read: {error}") from error
    if image.size != size_px:
        raise SynthError(
            f"the {what} {path.name} is {image.width}x{image.height} px, its picture "
            f"{size_px[0]}x{size_px[1]} px; they must be alike"
        )
    return image
