"""The detector as a function of pixels that gradients flow through, for attacks on it.

Resizing is PyTorch's antialiased one, which differs from Pillow's by rounding to bytes between the
passes; so an attack is judged by the file it saved, scored as every other file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .detector import Detector
from .inputs.preprocess import centre_offset, profile_size

if TYPE_CHECKING:
    import torch


def differentiable(detector: Detector) -> Callable[[torch.Tensor], torch.Tensor]:
    """From pixels in [0, 1], float32, shape (N, 3, H, W), to logits, shape (N,).

    Logits come back on the pixels' device, whatever the detector's is.
    """
    import torch
    from torch.nn import functional

    profile = detector.profile
    device = next(detector.module.parameters()).device
    mean, std = (
        torch.tensor(values).to(device)[:, None, None] for values in (profile.mean, profile.std)
    )

    def logits(pixels_nchw: torch.Tensor) -> torch.Tensor:
        height, width = pixels_nchw.shape[-2:]
        out_width, out_height = profile_size((width, height), profile)
        resized = functional.interpolate(
            pixels_nchw.to(device),
            (out_height, out_width),
            mode=profile.interpolation,
            antialias=True,
            align_corners=False,
        )
        left = centre_offset(out_width, profile.crop_px)
        top = centre_offset(out_height, profile.crop_px)
        square = resized[..., top : top + profile.crop_px, left : left + profile.crop_px]
        found: torch.Tensor = detector.network((square - mean) / std)[0]
        return found.flatten().to(pixels_nchw.device)

    return logits
