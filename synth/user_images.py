"""Masks and control images of the user for images of the lake, named by image id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from ..data.errors import SynthError, UnreadableImage
from ..data.images.decode import orientation_of
from ..data.images.limits import opened


@contextmanager
def user_image(
    folder: Path, image_id: str, size_px: tuple[int, int], *, what: str
) -> Iterator[Image.Image]:
    """Open the file `IMAGE_ID.png` of a folder, decoded, with its orientation not yet applied.

    Args:
        folder: Folder of masks or control images.
        image_id: Id of the image that the file belongs to.
        size_px: Width and height of that image in pixels; the file must have the same when
            both are upright.
        what: Kind of the file in messages, `mask` or `control`.

    Raises:
        SynthError: The file is missing, cannot be read, or has another size.
    """
    path = folder / f"{image_id}.png"
    try:
        with opened(path.read_bytes()) as image:
            image.load()
            _check_size(image, size_px, path.name, what)
            yield image
    except FileNotFoundError:
        raise SynthError(f"{folder} has no {what} for this image; add {image_id}.png") from None
    except (OSError, UnreadableImage) as error:
        raise SynthError(f"the {what} {path} cannot be read: {error}") from error


def _check_size(image: Image.Image, size_px: tuple[int, int], name: str, what: str) -> None:
    width, height = image.size
    if orientation_of(image) > 4:  # 5 to 8 lie on their side
        width, height = height, width
    if (width, height) != size_px:
        raise SynthError(
            f"the {what} {name} is {width}x{height} px and its image {size_px[0]}x{size_px[1]} px; "
            "both must have the same size"
        )
