"""Adapters: which base they were made for, whether they fit it, and whether they do anything.

An adapter of another base often loads in silence and changes nothing, so three things are
checked: the base its metadata names, the shapes of its tensors, and that the transformer's
output with it differs from the output without.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from ...data.errors import SynthError, shorten
from .adapter_base import named_bases, other_base

if TYPE_CHECKING:
    from .checkpoints import GeneratorFiles

WEIGHTS = "pytorch_lora_weights.safetensors"
PARTS = ("transformer", "text_encoder", "text_encoder_2")
"""Parts of a pipeline that an adapter may change."""
MAX_WEIGHT = 100.0
_LORA = re.compile(
    r"(?P<layer>(?:transformer|text_encoder|text_encoder_2)\..+)"
    r"\.(?:(?P<side>lora_A|lora_B|lora_linear_layer\.down|lora_linear_layer\.up)\.weight|alpha)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One LoRA: a safetensors file, or a folder that holds `pytorch_lora_weights.safetensors`."""

    path: Path
    weight: float = 1.0

    def __post_init__(self) -> None:
        # Not "greater": what is no number compares as neither.
        if not abs(self.weight) <= MAX_WEIGHT:
            raise SynthError(
                f"{self.path} at a weight of {self.weight}; allowed: {_allowed_weights(self.path)}"
            )

    @property
    def file(self) -> Path:
        """The weights' file."""
        return self.path / WEIGHTS if self.path.is_dir() else self.path

    def describe(self) -> str:
        """Name, hash and weight, for tables."""
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()[:12]
        return f"{self.path.stem}@{digest}*{self.weight:g}"


def _allowed_weights(path: str | Path) -> str:
    return f"a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, such as {path}:0.8"


def parse_adapter(text: str, find: Callable[[str], Path] = Path) -> Adapter:
    """Return an adapter from `PATH` or `PATH:WEIGHT`.

    Args:
        text: Path, or path and weight.
        find: Function from a path as written to where it leads.

    Raises:
        SynthError: The weight is no number, or too large.
    """
    path, colon, suffix = text.rpartition(":")
    if not colon or not path or find(text).exists():
        return Adapter(path=find(text))
    try:
        weight = float(suffix)
    except ValueError as error:
        if not find(path).exists():
            return Adapter(path=find(text))
        raise SynthError(
            f"{path} at a weight of {suffix!r}; allowed: {_allowed_weights(path)}"
        ) from error
    return Adapter(path=find(path), weight=weight)


def attach_adapters(
    pipeline: Any, adapters: Sequence[Adapter], files: GeneratorFiles, *, fuse: bool
) -> tuple[Adapter, ...]:
    """Loads the adapters into the pipeline with their weights; fused into its own on request.

    Raises:
        SynthError: A file cannot be read, was made for another base, or changes nothing.
    """
    if not adapters:
        return ()
    shapes = {
        f"{part}.{name}": tuple(tensor.shape)
        for part in PARTS
        for name, tensor in getattr(pipeline, part).state_dict().items()
    }
    names = []
    for index, adapter in enumerate(adapters):
        check_adapter(adapter, shapes, files.generator_id, files.preset.repo)
        name = f"adapter_{index}"
        try:
            with _without_advice():
                pipeline.load_lora_weights(
                    adapter.file.parent, weight_name=adapter.file.name, adapter_name=name
                )
        except Exception as error:
            # Of diffusers and PEFT, which look at names and metadata in their own ways.
            raise SynthError(
                f"{adapter.file} cannot be loaded: {shorten(f'{type(error).__name__}: {error}')}; "
                "get or train the adapter again"
            ) from error
        names.append(name)
    before = _fingerprint(pipeline, enabled=False)
    for name, adapter in zip(names, adapters, strict=True):
        pipeline.set_adapters([name], [adapter.weight])
        after = _fingerprint(pipeline, enabled=True)
        if not bool(torch.isfinite(after).all()):
            raise SynthError(
                f"{adapter.file} at weight {adapter.weight:g} makes values of "
                f"{files.generator_id} that are not finite: lower its weight, or leave it out"
            )
        if adapter.weight and torch.equal(after, before):
            raise SynthError(
                f"{adapter.file} changes nothing in {files.generator_id}: all its updates are zero "
                "or meant for other layers; was it trained on this base?"
            )
    pipeline.set_adapters(names, [adapter.weight for adapter in adapters])
    if fuse:
        pipeline.fuse_lora(adapter_names=names)
        pipeline.unload_lora_weights()
    return tuple(adapters)


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keep to itself what diffusers says of adapters beside its errors.

    It warns of every text encoder that an adapter leaves alone, as most do, and logs each failure
    that it also raises.
    """
    logs = [logging.getLogger(f"diffusers.loaders.{name}") for name in ("lora_base", "peft")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


def check_adapter(
    adapter: Adapter, shapes: dict[str, tuple[int, ...]], generator_id: str, repo: str
) -> None:
    """Refuse an adapter that is damaged, is of another base, or whose shapes do not fit.

    Args:
        adapter: The adapter.
        shapes: Shapes of the base's tensors by part and name, such as `transformer.a.b.weight`.
        generator_id: Id of the base, for messages.
        repo: Hub id of the base, empty where it has none.

    Raises:
        SynthError: It does not belong to this base, or cannot be used at all.
    """
    file = adapter.file
    if not file.is_file():
        raise SynthError(f"there is no adapter at {file}; name a safetensors file or its folder")
    if file.suffix != ".safetensors":
        raise SynthError(f"{file} is no safetensors; other files can run code and are never opened")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            own = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
            broken = next((name for name in own if not _is_finite(opened.get_tensor(name))), None)
    except (OSError, SafetensorError) as error:
        raise SynthError(f"{file} cannot be read as an adapter: {error}") from error
    named = next(iter(named_bases(metadata)), "")
    pairs = _pairs(file, own)
    for layer, (down, up) in pairs.items():
        base = shapes.get(f"{layer}.weight")
        # Rows of the first and columns of the second are the rank.
        if base is None or min(len(down), len(up)) < 2 or (up[0], *down[1:]) != base:
            seen = "has no such layer"
            if base is not None:
                seen = f"takes {base[-1]} values and gives {base[0]}"
            raise SynthError(
                f"{file} does not fit {generator_id}: {layer} is {down} and {up} there, and this "
                f"base {seen}" + (f"; it says it was made for {named}" if named else "")
            )
        if down[0] != up[1] or not down[0]:
            raise SynthError(
                f"{file} is damaged: {layer} has ranks {down[0]} and {up[1]}; allowed: the same, "
                "at least 1"
            )
    if other := other_base(metadata, generator_id, repo):
        raise SynthError(
            f"{file} was made for {other}; loaded is {generator_id}: use it with its own base"
        )
    if broken is not None:
        raise SynthError(
            f"{file} is damaged: {broken} holds values that are not finite numbers; train it again "
            "at a lower rate, or copy it again"
        )


def _pairs(
    file: Path, shapes: dict[str, tuple[int, ...]]
) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """By layer: the shapes of the two matrices of its update."""
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    unknown = []
    for name, shape in shapes.items():
        match = _LORA.fullmatch(name)
        if match is None:
            unknown.append(name)
        elif match["side"]:
            side = "A" if match["side"].endswith(("A", "down")) else "B"
            layers.setdefault(match["layer"], {})[side] = shape
    if not layers:
        raise SynthError(
            f"{file} holds no LoRA of a diffusers SD3 transformer (names like "
            f"transformer.*.lora_A.weight); seen: {', '.join(sorted(shapes)[:2]) or 'nothing'}"
        )
    if unknown:
        raise SynthError(
            f"{file} holds {len(unknown)} tensors that are no part of a LoRA, such as "
            f"{min(unknown)}; allowed: names like transformer.*.lora_A.weight"
        )
    if halves := sorted(layer for layer, sides in layers.items() if len(sides) != 2):
        has = next(iter(layers[halves[0]]))
        lacks = "B" if has == "A" else "A"
        raise SynthError(
            f"{file} is damaged: {len(halves)} of {len(layers)} layers have half an update "
            f"({halves[0]} has lora_{has} and lacks lora_{lacks}); copy or save it again"
        )
    return {layer: (sides["A"], sides["B"]) for layer, sides in layers.items()}


def _is_finite(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and bool(torch.isfinite(tensor.float()).all())


def _fingerprint(pipeline: Any, *, enabled: bool) -> torch.Tensor:
    """The transformer's and the encoders' output on a fixed small input."""
    if enabled:
        pipeline.enable_lora()
    else:
        pipeline.disable_lora()
    transformer = pipeline.transformer
    config = transformer.config
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(transformer.device, transformer.dtype)

    side = 2 * config.patch_size
    with torch.inference_mode():
        parts = [
            transformer(
                hidden_states=drawn(1, config.in_channels, side, side),
                encoder_hidden_states=drawn(1, 4, config.joint_attention_dim),
                pooled_projections=drawn(1, config.pooled_projection_dim),
                timestep=torch.tensor([500.0], device=transformer.device),
            ).sample.flatten()
        ]
        for encoder in (pipeline.text_encoder, pipeline.text_encoder_2):
            tokens = torch.arange(4, device=encoder.device)[None]
            parts.append(encoder(tokens).text_embeds.flatten())
    return torch.cat([part.float().cpu() for part in parts])
