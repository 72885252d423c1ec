"""Attacks in the latents of an autoencoder, which keep the image plausible.

Source: latent optimisation of StealthDiffusion (Zhou et al. 2024), without its diffusion steps:
gradient steps on the latents of the image, within a box, through the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.errors import SynthError
from ..autoencoder import Autoencoder
from .pixel import AttackSettings, Logits, gain_and_gradient, rgb_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttack:
    """The result of an attack in latents."""

    rgb_u8_hwc: NDArray[np.uint8]
    """Attacked image, RGB, shape (H, W, 3)."""
    plain_rgb_u8_hwc: NDArray[np.uint8]
    """Image through the autoencoder without an attack, for comparison."""


def latent_attack(
    rgb_u8_hwc: NDArray[np.uint8],
    autoencoder: Autoencoder,
    logits: Logits,
    settings: AttackSettings,
    *,
    box_sd: float = 0.3,
) -> LatentAttack:
    """Move the latents of an image within a box so that the logit of the decoded image moves.

    Args:
        rgb_u8_hwc: Image, RGB, shape (H, W, 3); not processed in tiles.
        autoencoder: Autoencoder with an encoder and a decoder.
        logits: Detector as a differentiable function of pixels in [0, 1].
        settings: Steps and aim; `box_sd` takes the place of epsilon, since latents have no levels.
        box_sd: Half-width of the box, in standard deviations of the image's latents.

    Raises:
        SynthError: The autoencoder has no encoder.
    """
    height, width = rgb_u8_hwc.shape[:2]
    stride = autoencoder.stride_px
    padded = np.pad(rgb_u8_hwc, ((0, -height % stride), (0, -width % stride), (0, 0)), mode="edge")
    pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    with torch.no_grad():
        origin = _encoded(autoencoder, pixels.to(autoencoder.device))

    decode: Any = autoencoder.module.decode

    def decoded(latents: torch.Tensor) -> torch.Tensor:
        shown: torch.Tensor = decode(latents).sample
        return (shown[..., :height, :width] * 0.5 + 0.5).clamp(0, 1)

    reach = box_sd * float(origin.std())
    low, high = origin - reach, origin + reach
    best, best_gain, at = origin, None, origin
    for _ in range(settings.steps):
        gain, slope = gain_and_gradient(at, lambda z: logits(decoded(z)), settings.aim)
        if best_gain is None or bool(gain > best_gain):
            best, best_gain = at, gain
        step = 2.5 * reach / settings.steps
        at = torch.clamp(at + step * slope.sign(), low, high)
    with torch.no_grad():
        if best_gain is None or bool(settings.aim * logits(decoded(at)) > best_gain):
            best = at
        return LatentAttack(
            rgb_u8_hwc=rgb_of(decoded(best)), plain_rgb_u8_hwc=rgb_of(decoded(origin))
        )


def _encoded(autoencoder: Autoencoder, pixels: torch.Tensor) -> torch.Tensor:
    encode = getattr(autoencoder.module, "encode", None)
    if encode is None:
        raise SynthError(
            f"{autoencoder.name} has no encoder, which latent attacks need; use another autoencoder"
        )
    coded = encode(pixels)
    latents: torch.Tensor = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mode()
    return latents
