"""Checkpoints with random weights, in both layouts, small enough to make in a test.

Weights are drawn wide enough that logits of different pictures lie units apart, so that a
wrong head count, epsilon or channel order shows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

MINI_ON_TORCH = {"detector": "mini", "backend": "torch", "device": "cpu", "precision": "fp32"}
"""Settings of a request that scores with the embedded detector and measures nothing first."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Of a ViT; heads are 64 wide, as in all published ones."""

    image_px: int = 64
    width: int = 192
    depth: int = 2
    heads: int = 3
    patch_px: int = 16


TINY = Shape()
VIT_S = Shape(image_px=384, width=384, depth=12, heads=6)


def timm_tensors(shape: Shape = TINY, *, seed: int = 0, n_logits: int = 1) -> Tensors:
    """Return a checkpoint in the authors' layout: timm's names under `vit.`, q, k, v fused."""
    rng = np.random.default_rng(seed)
    w, p = shape.width, shape.patch_px
    out: Tensors = {}

    def draw(name: str, *dims: int, scale: float, shift: float = 0.0) -> None:
        values = rng.standard_normal(dims, dtype=np.float32) * scale + shift
        out[f"vit.{name}"] = torch.from_numpy(values)

    def linear(name: str, n_out: int, n_in: int, gain: float = 1.0) -> None:
        draw(f"{name}.weight", n_out, n_in, scale=gain / n_in**0.5)
        draw(f"{name}.bias", n_out, scale=0.1)

    def norm(name: str) -> None:
        draw(f"{name}.weight", w, scale=0.1, shift=1.0)
        draw(f"{name}.bias", w, scale=0.1)

    draw("cls_token", 1, 1, w, scale=0.5)
    draw("pos_embed", 1, (shape.image_px // p) ** 2 + 1, w, scale=0.5)
    draw("patch_embed.proj.weight", w, 3, p, p, scale=1.0 / (3 * p * p) ** 0.5)
    draw("patch_embed.proj.bias", w, scale=0.1)
    for block in range(shape.depth):
        norm(f"blocks.{block}.norm1")
        linear(f"blocks.{block}.attn.qkv", 3 * w, w, gain=1.5)
        linear(f"blocks.{block}.attn.proj", w, w, gain=2.0)
        norm(f"blocks.{block}.norm2")
        linear(f"blocks.{block}.mlp.fc1", 4 * w, w)
        linear(f"blocks.{block}.mlp.fc2", w, 4 * w)
    norm("norm")
    linear("head", n_logits, w, gain=12.0)
    return out


def hf_tensors(timm: Tensors) -> Tensors:
    """Return the same network under the names of the hub's transformers checkpoints."""
    stem = {
        "cls_token": "vit.embeddings.cls_token",
        "pos_embed": "vit.embeddings.position_embeddings",
        "patch_embed.proj": "vit.embeddings.patch_embeddings.projection",
        "norm": "vit.layernorm",
        "head": "classifier",
    }
    parts = {
        "norm1": "layernorm_before",
        "attn.proj": "attention.output.dense",
        "norm2": "layernorm_after",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    out: Tensors = {}
    for full, tensor in timm.items():
        name = full.removeprefix("vit.")
        if name in stem:
            out[stem[name]] = tensor
            continue
        base, kind = name.rsplit(".", 1)
        if base in stem:
            out[f"{stem[base]}.{kind}"] = tensor
            continue
        _, block, part = base.split(".", 2)
        layer = f"vit.encoder.layer.{block}"
        if part == "attn.qkv":
            for role, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                out[f"{layer}.attention.attention.{role}.{kind}"] = piece.contiguous()
        else:
            out[f"{layer}.{parts[part]}.{kind}"] = tensor
    return out


def hf_config(shape: Shape = TINY, **changes: object) -> dict[str, object]:
    """Return the `config.json` of `hf_tensors`; a change to None removes a key."""
    config: dict[str, object] = {
        "architectures": ["ViTForImageClassification"],
        "hidden_act": "gelu",
        "hidden_size": shape.width,
        "id2label": {"0": "LABEL_0"},
        "image_size": shape.image_px,
        "intermediate_size": 4 * shape.width,
        "layer_norm_eps": 1e-6,
        "model_type": "vit",
        "num_attention_heads": shape.heads,
        "num_channels": 3,
        "num_hidden_layers": shape.depth,
        "patch_size": shape.patch_px,
        "qkv_bias": True,
    }
    config |= changes
    return {key: value for key, value in config.items() if value is not None}


def write_timm(folder: Path, tensors: Tensors, *, positive: str | None = "fake") -> Path:
    """Write a folder as the authors publish it, with `detector.toml` unless `positive` is None."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    if positive is not None:
        (folder / "detector.toml").write_text(f'positive = "{positive}"\n')
    return folder


def write_hf(
    folder: Path,
    tensors: Tensors,
    config: dict[str, object] | None = None,
    *,
    positive: str | None = "fake",
) -> Path:
    """Write a folder in transformers' layout from `tensors` in the authors' names."""
    write_timm(folder, hf_tensors(tensors), positive=positive)
    (folder / "config.json").write_text(json.dumps(config or hf_config()))
    return folder
