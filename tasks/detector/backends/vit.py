"""Vision transformer with one logit in PyTorch; parameters are named by role.

transformers and timm have the same network, but their import takes two seconds or more in every
scoring process. Tests compare this network with both.

Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", sec. 3.1.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ..weights.architecture import Architecture


class ViT(nn.Module):
    """Pre-norm transformer over patches and a class token, with a linear head on the class token.

    Args:
        architecture: Sizes of the network; its layout is not used.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        n_patches = (a.image_px // a.patch_px) ** 2
        self.cls_token = nn.Parameter(torch.empty(1, 1, a.width))
        self.position = nn.Parameter(torch.empty(1, 1 + n_patches, a.width))
        self.patch = nn.Conv2d(3, a.width, kernel_size=a.patch_px, stride=a.patch_px)
        self.blocks = nn.ModuleList(Block(a) for _ in range(a.depth))
        self.norm = nn.LayerNorm(a.width, eps=a.layer_norm_eps)
        self.head = nn.Linear(a.width, 1)

    def forward(self, pixels_nchw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits (N,) and the class tokens after the final norm (N, D).

        Args:
            pixels_nchw: Preprocessed images (N, 3, side, side).
        """
        x = self.patch(pixels_nchw).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.position
        for block in self.blocks:
            x = block(x)
        embeddings = self.norm(x)[:, 0]
        return self.head(embeddings)[:, 0], embeddings


class Block(nn.Module):
    """Transformer block: attention and an MLP, each with a norm before it and a residual sum."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self.heads = a.heads
        self.norm1 = nn.LayerNorm(a.width, eps=a.layer_norm_eps)
        self.qkv = nn.Linear(a.width, 3 * a.width)
        self.out = nn.Linear(a.width, a.width)
        self.norm2 = nn.LayerNorm(a.width, eps=a.layer_norm_eps)
        self.fc1 = nn.Linear(a.width, a.mlp_width)
        self.fc2 = nn.Linear(a.mlp_width, a.width)

    def forward(self, x_ntd: torch.Tensor) -> torch.Tensor:
        """Return the block's output for tokens (N, T, D), in the same shape."""
        x_ntd = x_ntd + self._attention(self.norm1(x_ntd))
        hidden: torch.Tensor = self.fc2(functional.gelu(self.fc1(self.norm2(x_ntd))))
        return x_ntd + hidden

    def _attention(self, x_ntd: torch.Tensor) -> torch.Tensor:
        n_images, n_tokens, width = x_ntd.shape
        qkv = self.qkv(x_ntd).view(n_images, n_tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(n_images, n_tokens, width))
        return out
