"""Tiles of a picture at its own resolution: what the centre square leaves unseen, seen too.

Pure geometry, and the cutting. The scored square covers the middle of the short edge only, so a
change at the edge of a wide picture never reaches the network.
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

# Neighbours share at least a quarter, so that what one cuts in two another has whole.
OVERLAP: Final = 0.25
# Bounds the cost of a picture: a larger one is reduced until so many tiles cover it.
MAX_TILES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A square of a picture, in pixels of the decoded picture."""

    index: int
    count: int
    left_px: int
    top_px: int
    side_px: int

    @property
    def name(self) -> str:
        """As in `views.view`."""
        return f"tile {self.index + 1}/{self.count}"


def tiles_of(size_px: tuple[int, int], side_px: int) -> list[Tile]:
    """Overlapping squares that cover a picture, in reading order; none for a smaller picture.

    Args:
        size_px: Width and height.
        side_px: Of the network's input. Tiles are as large, unless more than `MAX_TILES` would
            be needed: then they are just so much larger that these cover the picture, and are
            reduced to the input's size.
    """
    if min(size_px) < side_px:
        return []
    side = side_px
    while _n_tiles(size_px, side) > MAX_TILES:
        side = min(math.ceil(side * 1.05), *size_px)
        if side == min(size_px) and _n_tiles(size_px, side) > MAX_TILES:
            # Longer than 12 to 1: squares of the whole short edge, further apart than they overlap.
            break
    lefts, tops = (_starts(length, side) for length in size_px)
    count = len(lefts) * len(tops)
    return [
        Tile(index=row * len(lefts) + column, count=count, left_px=left, top_px=top, side_px=side)
        for row, top in enumerate(tops)
        for column, left in enumerate(lefts)
    ]


def cut(image: Image.Image, tile: Tile, profile: Profile) -> NDArray[np.float32]:
    """The network's input for one tile of an RGB picture, (3, side, side)."""
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
    """Evenly spread, the first at the beginning and the last at the end."""
    n = min(_n_along(length, side), MAX_TILES)
    return [round(index * (length - side) / max(n - 1, 1)) for index in range(n)]
