"""Control pictures for ControlNets: what of a parent its picture has to follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageFilter

from ...data.errors import SynthError
from .protocol import Rgb

if TYPE_CHECKING:
    import torch

KINDS: Final = ("canny", "depth", "blur")
"""As the family's ControlNets are named."""
DEPTH_IS_GIVEN: Final = (
    "depth is not estimated here; give depth pictures: controls = FOLDER, with IMAGE_ID.png"
)
# The thresholds of the publishers' example for their edge network.
_CANNY_LOW, _CANNY_HIGH = 100, 200
_BLUR_SHARE: Final = 1 / 64


def drawn_control(kind: str, parent_rgb: Rgb) -> Rgb:
    """The control picture of a parent, drawn, of the same size.

    Args:
        kind: `canny` draws edges (needs OpenCV), `blur` a Gaussian of a 64th of the longer side;
            `depth` must be given: assay estimates none.
        parent_rgb: The parent.

    Raises:
        SynthError: It cannot be drawn.
    """
    if kind not in KINDS:
        raise SynthError(f"no control is named {kind!r}; allowed: {', '.join(KINDS)}")
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
    """What the ControlNet pipeline encodes, float32, shape (1, 3, H, W).

    In [-1, 1], but for `canny`: that network was trained on values from 0.5 to 128, and follows
    nothing else (diffusers pull request 10020).
    """
    import torch

    pixels = torch.from_numpy(rgb_u8_hwc.copy()).permute(2, 0, 1)[None].float()
    return pixels * 0.5 + 0.5 if kind == "canny" else pixels / 127.5 - 1.0
