"""Control images for ControlNets: edges and blur of a parent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageFilter

from ...data.errors import SynthError
from .protocol import Rgb

if TYPE_CHECKING:
    import torch

KINDS: Final = ("canny", "depth", "blur")
"""Kinds of the family's ControlNets."""
DEPTH_IS_GIVEN: Final = (
    "depth is not estimated here; give depth images: controls = FOLDER, with IMAGE_ID.png"
)
# Thresholds of the publisher's example for the canny ControlNet.
_CANNY_LOW, _CANNY_HIGH = 100, 200
_BLUR_SHARE: Final = 1 / 64


def drawn_control(kind: str, parent_rgb: Rgb) -> Rgb:
    """Compute the control image of a parent, of the same size.

    Args:
        kind: Kind of the control image; `canny` is edges (needs OpenCV), `blur` a Gaussian whose
            deviation is 1/64 of the longer side. `depth` cannot be computed here.
        parent_rgb: Parent image.

    Raises:
        SynthError: The kind is unknown or cannot be computed, or OpenCV is not installed.

    Source: Canny 1986, "A Computational Approach to Edge Detection".
    """
    if kind not in KINDS:
        raise SynthError(f"control = {kind!r}; allowed: {', '.join(KINDS)}")
    if kind == "depth":
        raise SynthError(DEPTH_IS_GIVEN)
    if kind == "blur":
        radius = max(parent_rgb.shape[:2]) * _BLUR_SHARE
        return np.asarray(Image.fromarray(parent_rgb).filter(ImageFilter.GaussianBlur(radius)))
    try:
        import cv2
    except ImportError as error:
        raise SynthError("canny needs OpenCV: pip install 'assay[control]'") from error
    grey = np.asarray(Image.fromarray(parent_rgb).convert("L"))
    edges = cv2.Canny(grey, _CANNY_LOW, _CANNY_HIGH)
    return np.repeat(edges[..., None], 3, axis=2).astype(np.uint8)


def control_input(kind: str, rgb_u8_hwc: Rgb) -> torch.Tensor:
    """Return the input of the ControlNet pipeline, float32, shape (1, 3, H, W).

    Values are in [-1, 1], except for `canny`: that network was trained on values from 0.5 to 128
    (diffusers pull request 10020).

    Args:
        kind: Kind of the control image.
        rgb_u8_hwc: Control image, RGB, shape (H, W, 3).
    """
    import torch

    pixels = torch.from_numpy(rgb_u8_hwc.copy()).permute(2, 0, 1)[None].float()
    return pixels * 0.5 + 0.5 if kind == "canny" else pixels / 127.5 - 1.0
