"""ViT that returns the attention matrices of every block, with their gradients.

The libraries' fused attention never materialises these matrices. This network is built from the
checkpoint's tensors by role, so both layouts give the same result, and its logit equals that of
scoring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..detector.backends.openvino_graph import weights_by_role
from ..detector.weights.checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """Attention matrices of one image.

    Attributes:
        logit: Logit of the image, positive for AI-generated.
        attention_lhtt: Softmax of each block and head, (L, heads, T, T); T is 1 + patches, the
            class token first; rows sum to 1.
        gradient_lhtt: Gradient of the logit with respect to `attention_lhtt`, same shape.
    """

    logit: float
    attention_lhtt: NDArray[np.float32]
    gradient_lhtt: NDArray[np.float32]


class AttendingNetwork:
    """ViT with one logit in basic PyTorch operations, fp32, on the CPU.

    Args:
        checkpoint: Checked checkpoint.

    Raises:
        ConfigError: The network is no ViT of the built-in layouts.
        UntrustedWeights: A weight is not a finite number.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        import torch

        a = checkpoint.require_vit()
        weights = weights_by_role(checkpoint.raw_weights, a, checkpoint.name)
        self._w = {role: torch.from_numpy(values.copy()) for role, values in weights.items()}
        self._a = a
        self._sign = 1.0 if checkpoint.positive == "fake" else -1.0

    def attend(self, pixels_f32_chw: NDArray[np.float32]) -> Attended:
        """Run the network on one preprocessed image (3, side, side), with gradients."""
        import torch

        with torch.enable_grad():
            logits, attention = self.forward(torch.from_numpy(pixels_f32_chw[None]))
            gradients = torch.autograd.grad(logits.sum(), attention)
        return Attended(
            logit=float(logits.detach()[0]),
            attention_lhtt=np.stack([block[0].detach().numpy() for block in attention]),
            gradient_lhtt=np.stack([block[0].numpy() for block in gradients]),
        )

    def forward(self, pixels_nchw: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return logits (N,), positive for AI-generated, and softmax by block (N, heads, T, T)."""
        import torch
        from torch.nn import functional

        w, patch = self._w, self._a.patch_px
        x = functional.conv2d(pixels_nchw, w["patch.weight"], w["patch.bias"], stride=patch)
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([w["cls_token"].expand(len(x), -1, -1), x], dim=1) + w["position"]
        kept: list[torch.Tensor] = []
        for block in range(self._a.depth):
            mixed, attention = self._attention(self._norm(x, f"{block}.norm1"), block)
            kept.append(attention)
            x = x + self._linear(mixed, f"{block}.out")
            hidden = self._linear(self._norm(x, f"{block}.norm2"), f"{block}.fc1")
            x = x + self._linear(functional.gelu(hidden), f"{block}.fc2")
        logits = self._linear(self._norm(x, "norm")[:, 0], "head")[:, 0]
        return self._sign * logits, kept

    def _attention(self, x: torch.Tensor, block: int) -> tuple[torch.Tensor, torch.Tensor]:
        n_images, n_tokens, width = x.shape
        heads = self._a.heads
        q, k, v = (
            self._linear(x, f"{block}.{name}")
            .view(n_images, n_tokens, heads, width // heads)
            .transpose(1, 2)
            for name in "qkv"
        )
        attention = (q @ k.transpose(2, 3) * (width // heads) ** -0.5).softmax(dim=-1)
        # Only the attention needs gradients, not the weights.
        if not attention.requires_grad:
            attention.requires_grad_()
        mixed = (attention @ v).transpose(1, 2).reshape(n_images, n_tokens, width)
        return mixed, attention

    def _linear(self, x: torch.Tensor, role: str) -> torch.Tensor:
        from torch.nn import functional

        return functional.linear(x, self._w[f"{role}.weight"], self._w[f"{role}.bias"])

    def _norm(self, x: torch.Tensor, role: str) -> torch.Tensor:
        from torch.nn import functional

        weight, bias = self._w[f"{role}.weight"], self._w[f"{role}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self._a.layer_norm_eps)
