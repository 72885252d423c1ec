"""The network itself, built by transformers or timm and filled with a checkpoint's tensors.

Names are matched by role on both sides, so that a renaming in either library changes
nothing. No weights are drawn at random and thrown away: modules are made without storage
and take the tensors as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....data.errors import UntrustedWeights
from ..weights.architecture import Architecture, roles_of

if TYPE_CHECKING:
    import torch


def build_network(raw_weights: bytes, architecture: Architecture, what: str) -> torch.nn.Module:
    """A module in eval mode whose parameters are the checkpoint's, in float32.

    Args:
        raw_weights: A whole safetensors file, already checked.
        architecture: As worked out from it.
        what: Names the checkpoint in messages.

    Raises:
        UntrustedWeights: A weight is not a finite number, or the installed library's network
            has other tensors than this architecture.
    """
    import numpy as np
    import torch
    from safetensors.torch import load

    with torch.device("meta"):
        module = _BUILDERS[architecture.layout](architecture)
    tensors = load(raw_weights)
    by_role = {role: tensors[name] for name, role in roles_of(tensors, what).items()}
    targets = roles_of(module.state_dict(), f"the installed library's {type(module).__name__}")
    if set(targets.values()) != set(by_role):
        odd = sorted(set(targets.values()) ^ set(by_role))
        raise UntrustedWeights(
            f"{what} and the installed library disagree on what a ViT holds: {odd[:3]}"
        )
    state = {name: by_role[role].to(torch.float32) for name, role in targets.items()}
    for name, tensor in state.items():
        if not np.isfinite(tensor.numpy()).all():
            raise UntrustedWeights(f"{what}: {name} holds NaN or infinite weights; get it again")
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval().requires_grad_(requires_grad=False)


def logit_and_embedding(
    module: torch.nn.Module, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One pass: the raw logit (N,) and the class token after the final norm (N, D)."""
    parts: Any = module
    if hasattr(parts, "classifier"):
        embedding = parts.vit(pixel_values=pixels).last_hidden_state[:, 0]
        logits = parts.classifier(embedding)
    else:
        embedding = parts.forward_head(parts.forward_features(pixels), pre_logits=True)
        logits = parts.head(embedding)
    return logits[:, 0], embedding


def _build_transformers(architecture: Architecture) -> torch.nn.Module:
    # The two modules alone: the package's front door imports no less, but later and lazily.
    from transformers.models.vit.configuration_vit import ViTConfig
    from transformers.models.vit.modeling_vit import ViTForImageClassification

    config = ViTConfig(
        hidden_size=architecture.width,
        num_hidden_layers=architecture.depth,
        num_attention_heads=architecture.heads,
        intermediate_size=architecture.mlp_width,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=architecture.layer_norm_eps,
        image_size=architecture.image_px,
        patch_size=architecture.patch_px,
        num_channels=3,
        qkv_bias=True,
        num_labels=1,
        attn_implementation="sdpa",
    )
    module: torch.nn.Module = ViTForImageClassification(config)
    return module


def _build_timm(architecture: Architecture) -> torch.nn.Module:
    import functools

    import torch
    from timm.models.vision_transformer import VisionTransformer

    module: torch.nn.Module = VisionTransformer(
        img_size=architecture.image_px,
        patch_size=architecture.patch_px,
        embed_dim=architecture.width,
        depth=architecture.depth,
        num_heads=architecture.heads,
        mlp_ratio=architecture.mlp_width / architecture.width,
        qkv_bias=True,
        num_classes=1,
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=architecture.layer_norm_eps),
        weight_init="skip",
    )
    return module


_BUILDERS = {"transformers": _build_transformers, "timm": _build_timm}
