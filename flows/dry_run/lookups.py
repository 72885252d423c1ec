"""Dry runs of the commands that draw one image, its neighbours, or its patches."""

from __future__ import annotations

from pathlib import Path

from ...data.store.lake import Lake
from ..lookup import find_query
from .effects import Effect, Effects


def map_effects(lake: Lake | None, image_id: str, image: str, file: Path) -> Effects:
    """Return the effects of drawing a map of one image.

    Args:
        lake: Lake of the image; None for a file.
        image_id: Id of the image.
        image: Name of the image as it was given.
        file: PNG file of the map.
    """
    where = image if lake is None else f"{image_id} in {lake.uri}"
    return Effects(reads=[Effect(1, "image", where)], writes=[Effect(1, "PNG file", str(file))])


def similar_effects(lake: Lake, image: str, *, k: int, out: Path | None) -> Effects:
    """Return the effects of a search for similar images.

    Args:
        lake: Lake that is searched.
        image: Image file, or name of a stored image.
        k: Number of neighbours.
        out: Contact sheet, if one is drawn.

    Raises:
        InputError: The image does not exist or cannot be read.
    """
    find_query(lake, image)
    n_images = lake.n_rows("images")
    sheet = [] if out is None else [Effect(1, f"contact sheet of {k + 1}", str(out), at_most=True)]
    return Effects(reads=[Effect(n_images, "images to compare", lake.uri)], writes=sheet)


def patch_effects(lake: Lake, to: Path, *, limit: int | None) -> Effects:
    """Return the effects of writing patch embeddings.

    Args:
        lake: Lake of the images.
        to: Parquet file.
        limit: Largest number of images, if limited.
    """
    n_images = lake.n_rows("images")
    n_read = n_images if limit is None else min(n_images, limit)
    return Effects(
        reads=[Effect(n_read, "images", lake.uri)],
        writes=[Effect(n_read, "rows", str(to), at_most=True)],
    )
