"""Tiles of an image at its own resolution, which cover what the centre square omits.

This module has the geometry and the cropping. The scored square is the centre of the image only,
so an edit at the edge of a wide image never reaches the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .preprocess import FILTERS, normalise
from .profiles import Profile

# Share of a tile that neighbours have in common at least, so that one of them holds a small
# object whole.
OVERLAP: Final = 0.25
# Bound on the cost of an image: a larger one is reduced until this number of tiles covers it.
MAX_TILES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Square of an image, in pixels of the decoded image."""

    index: int
    count: int
    left_px: int
    top_px: int
    side_px: int

    @property
    def name(self) -> str:
        """Name of the tile, as in `views.view`."""
        return f"tile {self.index + 1}/{self.count}"


def tiles_of(size_px: tuple[int, int], side_px: int) -> list[Tile]:
    """Return overlapping squares that cover an image, in reading order.

    An image with an edge shorter than `side_px` has no tiles. Where more than `MAX_TILES` tiles of
    side `side_px` would be needed, the tiles are larger, and are reduced to the input's size.

    Args:
        size_px: Width and height of the image.
        side_px: Side of the network's input.
    """
    if min(size_px) < side_px:
        return []
    side = side_px
    while _n_tiles(size_px, side) > MAX_TILES:
        side = min(math.ceil(side * 1.05), *size_px)
        if side == min(size_px) and _n_tiles(size_px, side) > MAX_TILES:
            # Longer than about 12 to 1: `MAX_TILES` squares of the short edge, less overlapped.
            break
    lefts, tops = (_starts(length, side) for length in size_px)
    count = len(lefts) * len(tops)
    return [
        Tile(index=row * len(lefts) + column, count=count, left_px=left, top_px=top, side_px=side)
        for row, top in enumerate(tops)
        for column, left in enumerate(lefts)
    ]


def cut(image: Image.Image, tile: Tile, profile: Profile) -> NDArray[np.float32]:
    """Return the network's input for one tile of an RGB image, shape (3, side, side)."""
    right, bottom = tile.left_px + tile.side_px, tile.top_px + tile.side_px
    square = image.crop((tile.left_px, tile.top_px, right, bottom))
    if tile.side_px != profile.crop_px:
        size = (profile.crop_px, profile.crop_px)
        square = square.resize(size, FILTERS[profile.interpolation])
    return normalise(np.asarray(square), profile)


def _n_tiles(size_px: tuple[int, int], side: int) -> int:
    return _n_along(size_px[0], side) * _n_along(size_px[1], side)


def _n_along(length: int, side: int) -> int:
    return 1 + math.ceil((length - side) / (side * (1 - OVERLAP)))


def _starts(length: int, side: int) -> list[int]:
    """Return evenly spaced starts, the first at the beginning and the last at the end."""
    n = min(_n_along(length, side), MAX_TILES)
    return [round(index * (length - side) / max(n - 1, 1)) for index in range(n)]
