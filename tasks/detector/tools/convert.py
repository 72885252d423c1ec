"""Conversion of a checkpoint between timm's and transformers' layout, bit for bit.

timm stores queries, keys and values in one tensor, transformers in three; all other tensors only
change their name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from ....data.errors import InputError
from ..weights.architecture import TIMM_EPS, Architecture, roles_of
from ..weights.checkpoint import Checkpoint
from ..weights.hub import CONFIG, SETTINGS, WEIGHTS
from ..weights.registry import LABELS, Direction, Layout

_STEM: Final[dict[Layout, dict[str, str]]] = {
    "timm": {
        "cls_token": "vit.cls_token",
        "position": "vit.pos_embed",
        "patch": "vit.patch_embed.proj",
        "norm": "vit.norm",
        "head": "vit.head",
    },
    "transformers": {
        "cls_token": "vit.embeddings.cls_token",
        "position": "vit.embeddings.position_embeddings",
        "patch": "vit.embeddings.patch_embeddings.projection",
        "norm": "vit.layernorm",
        "head": "classifier",
    },
}
_BLOCK: Final[dict[Layout, tuple[str, dict[str, str]]]] = {
    "timm": (
        "vit.blocks",
        {
            "norm1": "norm1",
            "qkv": "attn.qkv",
            "out": "attn.proj",
            "norm2": "norm2",
            "fc1": "mlp.fc1",
            "fc2": "mlp.fc2",
        },
    ),
    "transformers": (
        "vit.encoder.layer",
        {
            "norm1": "layernorm_before",
            "q": "attention.attention.query",
            "k": "attention.attention.key",
            "v": "attention.attention.value",
            "out": "attention.output.dense",
            "norm2": "layernorm_after",
            "fc1": "intermediate.dense",
            "fc2": "output.dense",
        },
    ),
}
Tensor = dict[str, Any]


def convert(checkpoint: Checkpoint, to: Layout, folder: Path) -> Path:
    """Write a checkpoint in a layout, as a folder that assay and the layout's library load.

    The folder gets `model.safetensors`, a `config.json` for transformers, and a `detector.toml`
    with the settings that the weights do not contain.

    Args:
        checkpoint: Checked checkpoint.
        to: Layout: `timm`, the authors' own, or `transformers`, that of the hub's port.
        folder: New or empty folder.

    Returns:
        Path of the folder.

    Raises:
        ConfigError: The network is no ViT of these layouts.
        InputError: The folder contains files, or cannot be written.
    """
    checkpoint.require_vit()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; name a new one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WEIGHTS).write_bytes(converted(checkpoint.raw_weights, to, checkpoint.name))
        if to == "transformers":
            config = transformers_config(checkpoint.require_vit(), checkpoint.positive)
            (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / SETTINGS).write_text(_settings(checkpoint, to), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def converted(raw_weights: bytes, to: Layout, what: str) -> bytes:
    """Return a safetensors file with the same values under the names of a layout.

    Args:
        raw_weights: Bytes of a checked safetensors file.
        to: Layout of the result.
        what: Name of the checkpoint in messages.

    Raises:
        UntrustedWeights: A tensor has no role in a ViT classifier.
    """
    import safetensors

    pieces: Any = safetensors.deserialize(raw_weights)  # type: ignore[no-untyped-call]
    tensors: dict[str, Tensor] = dict(pieces)
    roles = roles_of(tensors, what)
    by_role = {role: tensors[name] for name, role in roles.items()}
    is_fused = "0.qkv.weight" in by_role
    if to == "timm" and not is_fused:
        by_role = _fused(by_role)
    elif to == "transformers" and is_fused:
        by_role = _split(by_role)
    return safetensors_file({name_of(role, to): tensor for role, tensor in by_role.items()})


def safetensors_file(tensors: dict[str, Tensor]) -> bytes:
    """Return a file in safetensors format: length of the header, header, data.

    Args:
        tensors: Tensors by name, each with `dtype` in the format's spelling, `shape`, and `data`,
            little-endian.
    """
    # The library's writer needs arrays of a framework, and numpy has no bfloat16.
    # Other libraries read this key to know the framework of the tensors.
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + len(tensor["data"])
        header[name] = {
            "dtype": tensor["dtype"],
            "shape": list(tensor["shape"]),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(bytes(tensor["data"]) for tensor in tensors.values())
    return len(text).to_bytes(8, "little") + text + data


def name_of(role: str, layout: Layout) -> str:
    """Return a layout's name for the tensor of a role."""
    first, _, rest = role.partition(".")
    if first.isdigit():
        part, _, kind = rest.partition(".")
        stem, parts = _BLOCK[layout]
        return f"{stem}.{first}.{parts[part]}.{kind}"
    return f"{_STEM[layout][first]}.{rest}" if rest else _STEM[layout][first]


def transformers_config(architecture: Architecture, positive: Direction) -> dict[str, Any]:
    """Return a `config.json` that states every key, so that no library default applies.

    Args:
        architecture: Sizes of the network.
        positive: Class that a larger logit means, which names the label.
    """
    label = LABELS[positive]
    return {
        "architectures": ["ViTForImageClassification"],
        "attention_probs_dropout_prob": 0.0,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": architecture.width,
        "id2label": {"0": label},
        "image_size": architecture.image_px,
        "intermediate_size": architecture.mlp_width,
        "label2id": {label: 0},
        "layer_norm_eps": architecture.layer_norm_eps,
        "model_type": "vit",
        "num_attention_heads": architecture.heads,
        "num_channels": 3,
        "num_hidden_layers": architecture.depth,
        "patch_size": architecture.patch_px,
        "qkv_bias": True,
    }


def _fused(by_role: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join queries, keys and values of each block along the rows, as in timm's layout."""
    out: dict[str, Tensor] = {}
    for role, tensor in by_role.items():
        block, _, part = role.partition(".")
        letter, _, kind = part.partition(".")
        if not block.isdigit() or letter not in {"q", "k", "v"}:
            out[role] = tensor
        elif letter == "q":
            three = [by_role[f"{block}.{name}.{kind}"] for name in "qkv"]
            # Rows are contiguous in memory.
            data = b"".join(bytes(one["data"]) for one in three)
            shape = [3 * tensor["shape"][0], *tensor["shape"][1:]]
            out[f"{block}.qkv.{kind}"] = tensor | {"shape": shape, "data": data}
    return out


def _split(by_role: dict[str, Tensor]) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for role, tensor in by_role.items():
        if ".qkv." not in role:
            out[role] = tensor
            continue
        data = bytes(tensor["data"])
        third = len(data) // 3
        shape = [tensor["shape"][0] // 3, *tensor["shape"][1:]]
        for index, name in enumerate("qkv"):
            piece = data[index * third : (index + 1) * third]
            out[role.replace(".qkv.", f".{name}.")] = tensor | {"shape": shape, "data": piece}
    return out


def _settings(checkpoint: Checkpoint, to: Layout) -> str:
    lines = [
        f"# Converted to {to}'s layout from {checkpoint.detector_id},",
        f"# whose weights have sha256 {checkpoint.weights_sha256}.",
        f'positive = "{checkpoint.positive}"',
        f'profile = "{checkpoint.profile.name}"',
        f"heads = {checkpoint.require_vit().heads}",
    ]
    if to == "timm" and checkpoint.require_vit().layer_norm_eps != TIMM_EPS:
        lines.append(f"layer_norm_eps = {checkpoint.require_vit().layer_norm_eps!r}")
    return "\n".join(lines) + "\n"
