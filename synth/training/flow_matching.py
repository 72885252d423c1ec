"""The training objective of Stable Diffusion 3: straight paths from noise to latents.

Source: Esser et al. 2024, "Scaling Rectified Flow Transformers for High-Resolution Image
Synthesis", sections 2 and 3.1.
"""

from __future__ import annotations

import torch


def draw_times(n: int, generator: torch.Generator, *, shift: float = 1.0) -> torch.Tensor:
    """Times in (0, 1), logit-normal with mean 0 and deviation 1, moved towards noise by `shift`."""
    sigma = torch.sigmoid(torch.randn(n, generator=generator))
    return shift * sigma / (1 + (shift - 1) * sigma)


def noised(latents: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The point at time sigma on the line from the latents (0) to the noise (1)."""
    at = sigma.view(-1, *[1] * (latents.dim() - 1)).to(latents)
    return (1 - at) * latents + at * noise


def velocity_loss(
    predicted: torch.Tensor, latents: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Mean squared error against the line's direction, noise minus latents."""
    return (predicted.float() - (noise - latents).float()).square().mean()
