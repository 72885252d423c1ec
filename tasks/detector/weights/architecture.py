"""Architecture of a ViT checkpoint, derived from its tensors' names and shapes and its config.

The tensor names of timm and of every transformers release map to one set of roles. Head count,
epsilon and activation do not follow from shapes: the config must state them, or the published
architecture fixes them. A wrong default would load without an error and score wrongly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ....data.errors import UntrustedWeights
from ....data.text.wording import counted
from .registry import DetectorCard, Layout
from .safetensors_file import TensorInfo

ANOTHER_NETWORK: Final = (
    "any other image classifier of theirs needs a card with its library, see"
    " docs/howto/add-a-detector.md"
)
HEAD_WIDTH: Final = 64
TIMM_EPS: Final = 1e-6
TRANSFORMERS_EPS: Final = 1e-12
# Widths of the published ViTs (Ti, S, B, L), which all have heads of width 64.
_PUBLISHED_WIDTHS: Final = (192, 384, 768, 1024)

_STEM: Final = {
    "cls_token": "cls_token",
    "pos_embed": "position",
    "patch_embed.proj": "patch",
    "norm": "norm",
    "head": "head",
    "vit.embeddings.cls_token": "cls_token",
    "vit.embeddings.position_embeddings": "position",
    "vit.embeddings.patch_embeddings.projection": "patch",
    "vit.layernorm": "norm",
    "classifier": "head",
}
_BLOCK_PART: Final = {
    "norm1": "norm1",
    "attn.qkv": "qkv",
    "attn.proj": "out",
    "norm2": "norm2",
    "mlp.fc1": "fc1",
    "mlp.fc2": "fc2",
    "attention.attention.query": "q",
    "attention.attention.key": "k",
    "attention.attention.value": "v",
    "attention.q_proj": "q",
    "attention.k_proj": "k",
    "attention.v_proj": "v",
    "attention.output.dense": "out",
    "attention.o_proj": "out",
    "intermediate.dense": "fc1",
    "output.dense": "fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}
_BLOCK: Final = re.compile(r"(?:blocks|vit\.encoder\.layer|vit\.layers)\.(\d+)\.(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Sizes and constants that define a ViT with one logit; `*_px` in pixels."""

    layout: Layout
    image_px: int
    patch_px: int
    width: int
    depth: int
    heads: int
    mlp_width: int
    layer_norm_eps: float

    def describe(self) -> str:
        """Return a description of the network in one line."""
        return (
            f"{self.layout} layout: input {self.image_px} px, patches {self.patch_px} px, width"
            f" {self.width}, {counted(self.depth, 'block')} of {counted(self.heads, 'head')},"
            f" epsilon {self.layer_norm_eps:g}, one logit"
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every role by name; a checkpoint holds exactly these tensors."""
        w, m, p = self.width, self.mlp_width, self.patch_px
        out: dict[str, tuple[int, ...]] = {
            "cls_token": (1, 1, w),
            "position": (1, (self.image_px // p) ** 2 + 1, w),
            "patch.weight": (w, 3, p, p),
            "patch.bias": (w,),
            "norm.weight": (w,),
            "norm.bias": (w,),
            "head.weight": (1, w),
            "head.bias": (1,),
        }
        pair = {"norm1": (w,), "norm2": (w,), "out": (w, w), "fc1": (m, w), "fc2": (w, m)}
        pair |= {"qkv": (3 * w, w)} if self.layout == "timm" else dict.fromkeys("qkv", (w, w))
        for block in range(self.depth):
            for part, shape in pair.items():
                out[f"{block}.{part}.weight"] = shape
                out[f"{block}.{part}.bias"] = shape[:1]
        return out


def roles_of(names: Iterable[str], what: str) -> dict[str, str]:
    """Return the role of each tensor by its name, for either layout.

    Args:
        names: Names of the tensors.
        what: Name of the checkpoint in messages.

    Raises:
        UntrustedWeights: A tensor has no role in a ViT classifier, or two have the same role.
    """
    out: dict[str, str] = {}
    for name in names:
        role = _role(name)
        if role is None:
            raise UntrustedWeights(
                f"{what} holds a tensor {name!r} that a ViT with one logit does not have; accepted"
                " are transformers' ViTForImageClassification and timm's VisionTransformer;"
                f" {ANOTHER_NETWORK}"
            )
        out[name] = role
    if len(set(out.values())) != len(out):
        raise UntrustedWeights(f"{what} holds the same tensors twice under different names")
    return out


def _role(name: str) -> str | None:
    plain = name
    # The authors' module holds timm's network in an attribute `vit`.
    timm_like = name.removeprefix("vit.")
    if timm_like.startswith(("cls_token", "pos_embed", "patch_embed", "blocks.", "norm.", "head.")):
        plain = timm_like
    if plain in _STEM and plain.endswith(("cls_token", "pos_embed", "position_embeddings")):
        return _STEM[plain]
    stem, _, kind = plain.rpartition(".")
    if kind not in {"weight", "bias"}:
        return None
    if stem in _STEM:
        return f"{_STEM[stem]}.{kind}"
    block = _BLOCK.fullmatch(stem)
    if block is None or block[2] not in _BLOCK_PART:
        return None
    return f"{int(block[1])}.{_BLOCK_PART[block[2]]}.{kind}"


def architecture_of(
    header: Mapping[str, TensorInfo],
    config: Mapping[str, Any] | None,
    *,
    what: str,
    heads: int | None = None,
    layer_norm_eps: float | None = None,
    is_pinned: bool = False,
) -> Architecture:
    """Derive the architecture from the tensors and the config, and check that they agree.

    Args:
        header: Header of the weights file.
        config: Parsed `config.json`; None where there is none.
        what: Name of the checkpoint in messages.
        heads: Head count from `detector.toml`, for widths that are not published ones.
        layer_norm_eps: Epsilon from `detector.toml`, for timm's layout, which has no config.
        is_pinned: Whether the hashes of config and weights are registered together; only head
            count and epsilon are then read from the config.

    Raises:
        UntrustedWeights: Tensors are missing, unexpected or of a wrong shape, there is not
            exactly one logit, head count or epsilon is missing, or config and weights disagree.
    """
    roles = roles_of(header, what)
    shapes = {role: header[name].shape for name, role in roles.items()}
    layout: Layout = "timm" if "0.qkv.weight" in shapes else "transformers"
    try:
        (n_logits, width), (_, _, patch_px, _) = shapes["head.weight"], shapes["patch.weight"]
        (_, n_tokens, _), (mlp_width, _) = shapes["position"], shapes["0.fc1.weight"]
    except (KeyError, ValueError) as error:
        raise UntrustedWeights(
            f"{what} is no ViT classifier: {error} is missing or has another shape"
        ) from error
    if n_logits != 1:
        raise UntrustedWeights(
            f"{what} has {counted(n_logits, 'logit')}; a detector of this kind has one, whose"
            f" sigmoid is a probability; {ANOTHER_NETWORK}"
        )
    if min(width, patch_px, mlp_width) < 1:
        raise UntrustedWeights(f"{what} is no ViT classifier: it has tensors without elements")
    image_px = math.isqrt(max(n_tokens - 1, 0)) * patch_px
    blocks = {int(role.split(".")[0]) for role in shapes if role[0].isdigit()}
    timm_eps = layer_norm_eps or TIMM_EPS
    stated = _stated(config or {}, layout, width, what, heads, timm_eps, is_pinned=is_pinned)
    derived = Architecture(
        layout=layout,
        image_px=image_px,
        patch_px=patch_px,
        width=width,
        depth=len(blocks),
        heads=stated[0],
        mlp_width=mlp_width,
        layer_norm_eps=stated[1],
    )
    _check_shapes(shapes, derived.shapes(), what)
    if not is_pinned:
        _check_config(config or {}, derived, what)
    return derived


def _stated(
    config: Mapping[str, Any],
    layout: Layout,
    width: int,
    what: str,
    heads: int | None,
    timm_eps: float,
    *,
    is_pinned: bool,
) -> tuple[int, float]:
    """Return head count and epsilon, from the config in transformers' layout, else by width."""
    if layout == "transformers":
        n_heads = _number(config, "num_attention_heads", what)
        # A config pinned by its hash means what transformers reads from it, defaults included.
        unstated = is_pinned and "layer_norm_eps" not in config
        eps = TRANSFORMERS_EPS if unstated else _number(config, "layer_norm_eps", what)
        if not 0 < eps <= 1e-3:
            raise UntrustedWeights(f"{what}: config.json has layer_norm_eps {eps}; expected 1e-6")
    else:
        n_heads, eps = float(width // HEAD_WIDTH if width in _PUBLISHED_WIDTHS else 0), timm_eps
    usual = width // HEAD_WIDTH if width % HEAD_WIDTH == 0 else None
    expected = heads if heads is not None else usual
    if layout == "timm" and n_heads == 0:
        n_heads = float(heads or 0)
    if not expected or expected < 0 or n_heads != expected or width % expected:
        raise UntrustedWeights(
            f"{what}: {n_heads:g} heads for a width of {width}; expected "
            f"{expected or 'a stated number'} (heads of {HEAD_WIDTH}). A wrong head count loads"
            " without an error and scores wrongly; if this one is right, state `heads = N` in"
            " detector.toml beside the weights"
        )
    return expected, eps


def _number(config: Mapping[str, Any], key: str, what: str) -> float:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UntrustedWeights(
            f"{what}: config.json {'lacks' if value is None else 'has no number as'} {key}; state"
            " it, since the library's default would load and score wrongly"
        )
    return value


def _check_shapes(
    shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], what: str
) -> None:
    missing = sorted(expected.keys() - shapes.keys())
    unexpected = sorted(shapes.keys() - expected.keys())
    wrong = sorted(k for k in expected.keys() & shapes.keys() if expected[k] != shapes[k])
    if missing or unexpected or wrong:
        parts = [
            f"{len(names)} {kind} (first: {names[0]})"
            for kind, names in (
                ("missing", missing),
                ("unexpected", unexpected),
                ("misshapen", wrong),
            )
            if names
        ]
        raise UntrustedWeights(
            f"{what}: {len(shapes)} of a ViT's {counted(len(expected), 'tensor')}: "
            f"{', '.join(parts)}; get the whole checkpoint"
        )


def _check_config(config: Mapping[str, Any], derived: Architecture, what: str) -> None:
    """Refuse a config that contradicts the weights, or that lacks a key transformers needs."""
    facts: dict[str, object] = {
        "hidden_size": derived.width,
        "num_hidden_layers": derived.depth,
        "intermediate_size": derived.mlp_width,
        "image_size": derived.image_px,
        "patch_size": derived.patch_px,
        "hidden_act": "gelu",
        "model_type": "vit",
    }
    optional: dict[str, object] = {"num_channels": 3, "qkv_bias": True, "num_labels": 1}
    if derived.layout == "timm":
        facts, optional = {}, {"num_attention_heads": derived.heads, "num_heads": derived.heads}
    for key, value in (facts | optional).items():
        if key not in config and key in optional:
            continue
        stated = config.get(key)
        if stated not in (value, [value, value]):
            raise UntrustedWeights(
                f"{what}: config.json says {key} = {stated!r}, the weights have {value!r}; "
                "config and weights do not belong together"
            )
    labels = config.get("id2label")
    if derived.layout == "transformers" and isinstance(labels, dict) and len(labels) != 1:
        raise UntrustedWeights(
            f"{what}: config.json names {counted(len(labels), 'label')}, the weights have one"
            " logit; config and weights do not belong together"
        )


def check_card(derived: Architecture, card: DetectorCard, what: str) -> None:
    """Refuse an architecture other than the registered one.

    Args:
        derived: Architecture of the checkpoint.
        card: Card of the registered detector.
        what: Name of the checkpoint in messages.

    Raises:
        UntrustedWeights: Layout, input, width, depth, head count or epsilon differ.
    """
    for key in ("layout", "image_px", "width", "depth", "heads", "layer_norm_eps"):
        expected = getattr(card, key)
        if expected is not None and getattr(derived, key) != expected:
            raise UntrustedWeights(
                f"{what}: {key} is {getattr(derived, key)}, {card.name} has {expected}"
            )
