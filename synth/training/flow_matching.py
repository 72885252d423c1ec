"""Rectified flow, the training objective of Stable Diffusion 3: straight paths to the noise.

Source: Esser et al. 2024, "Scaling Rectified Flow Transformers for High-Resolution Image
Synthesis", sections 2 and 3.1.
"""

from __future__ import annotations

import torch


def draw_times(n: int, generator: torch.Generator, *, shift: float = 1.0) -> torch.Tensor:
    """Draw times in (0, 1) from a logit-normal distribution with mean 0 and deviation 1.

    Args:
        n: Number of times.
        generator: Random generator on the CPU.
        shift: Shift of the times towards the noise, above 0; 1 leaves them unchanged (section
            5.3.2 of the source).

    Returns:
        Times, float32, shape (n,); 0 is the latents, 1 the noise.
    """
    sigma = torch.sigmoid(torch.randn(n, generator=generator))
    return shift * sigma / (1 + (shift - 1) * sigma)


def noised(latents: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Return the points at times sigma on the lines from the latents (0) to the noise (1).

    Args:
        latents: Latents, shape (N, C, H, W).
        noise: Gaussian noise of the same shape.
        sigma: Times in [0, 1], shape (N,).
    """
    at = sigma.view(-1, *[1] * (latents.dim() - 1)).to(latents)
    return (1 - at) * latents + at * noise


def velocity_loss(
    predicted: torch.Tensor, latents: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Return the mean squared error against the velocity of the line, noise minus latents.

    Args:
        predicted: Output of the transformer, shape (N, C, H, W).
        latents: Latents of the same shape.
        noise: Gaussian noise of the same shape.
    """
    return (predicted.float() - (noise - latents).float()).square().mean()
