"""The detector as a differentiable function of pixels, for adversarial attacks.

Resizing uses PyTorch's antialiased filter. Pillow's rounds to 8 bits between its two passes, so
the two differ slightly; an attack is judged by the score of the file that it saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .detector import Detector
from .inputs.preprocess import centre_offset, profile_size

if TYPE_CHECKING:
    import torch


def differentiable(detector: Detector) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from pixels to logits, with preprocessing included.

    Args:
        detector: Detector with a PyTorch network.

    Returns:
        Function from RGB pixels in [0, 1], float32, shape (N, 3, H, W), to logits (N,) on the
        pixels' own device.

    Raises:
        ConfigError: The detector is a Python object, which has no PyTorch network.
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
        network_logits: torch.Tensor = detector.network((square - mean) / std)[0]
        return network_logits.flatten().to(pixels_nchw.device)

    return logits
