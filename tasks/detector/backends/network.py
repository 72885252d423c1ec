"""PyTorch network of a ViT checkpoint: built without storage, then filled with tensors by role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..weights.architecture import Architecture
from .openvino_graph import Weights, weights_by_role

if TYPE_CHECKING:
    from .vit import ViT


def build_network(raw_weights: bytes, architecture: Architecture, what: str) -> ViT:
    """Return a module in eval mode with the checkpoint's parameters, in float32 and frozen.

    Args:
        raw_weights: Bytes of a checked safetensors file.
        architecture: Sizes of the network, which the tensors agree with.
        what: Name of the checkpoint in messages.

    Raises:
        UntrustedWeights: A weight is not a finite number, or a tensor has no role in a ViT.
    """
    import torch

    from .vit import ViT

    # The meta device saves drawing random weights that would be discarded.
    with torch.device("meta"):
        module = ViT(architecture)
    weights = _with_joint_qkv(weights_by_role(raw_weights, architecture, what), architecture.depth)
    state = {
        f"blocks.{role}" if role[0].isdigit() else role: torch.tensor(values)
        for role, values in weights.items()
    }
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval().requires_grad_(requires_grad=False)


def _with_joint_qkv(weights: Weights, depth: int) -> Weights:
    """Join queries, keys and values of each block in one matrix: one product instead of three."""
    out = dict(weights)
    for block in range(depth):
        for kind in ("weight", "bias"):
            out[f"{block}.qkv.{kind}"] = np.concatenate(
                [out.pop(f"{block}.{letter}.{kind}") for letter in "qkv"]
            )
    return out
