"""A generator of discs on a plain background, both coloured by the seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.data.errors import SynthError
from assay.synth.generators.protocol import ImageRequest

MAX_SIDE_PX = 1024


class DiscGenerator:
    """A generator without a model, which draws in microseconds."""

    generator_id = "disc@1"
    """Name and version; images of another version are made again."""
    license_flags: tuple[str, ...] = ()

    def check(self, request: ImageRequest) -> None:
        """Refuse an impossible request, before anything is computed."""
        width_px, height_px = self._size(request)
        if max(width_px, height_px) > MAX_SIDE_PX:
            raise SynthError(
                f"discs of {width_px}x{height_px} px; allowed: sides up to {MAX_SIDE_PX} px"
            )

    def make(self, request: ImageRequest) -> NDArray[np.uint8]:
        """Return the image, RGB, shape (H, W, 3); the same request gives the same pixels."""
        rng = np.random.default_rng(request.seed)
        width_px, height_px = self._size(request)
        down, right = np.ogrid[:height_px, :width_px]
        radius_px = min(width_px, height_px) / 3
        is_disc = np.hypot(down - height_px / 2, right - width_px / 2) < radius_px
        ground, disc = rng.integers(0, 256, (2, 3), dtype=np.uint8)
        return np.where(is_disc[..., None], disc, ground)

    def _size(self, request: ImageRequest) -> tuple[int, int]:
        if request.parent_rgb is not None:
            height_px, width_px = request.parent_rgb.shape[:2]
            return width_px, height_px
        return request.width_px or 96, request.height_px or 96
