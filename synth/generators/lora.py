"""LoRA adapters: checks of their base, their shapes and their effect, and loading.

Diffusers often loads an adapter of another base without an error and without an effect. So three
things are checked: the base in its metadata, the shapes of its tensors, and that the outputs of
transformer and text encoders differ with and without it.
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
from ...data.text.wording import counted
from .adapter_base import named_bases, other_base

if TYPE_CHECKING:
    from .checkpoints import GeneratorFiles

WEIGHTS = "pytorch_lora_weights.safetensors"
PARTS = ("transformer", "text_encoder", "text_encoder_2")
"""Parts of a pipeline that an adapter may change."""
MAX_WEIGHT = 100.0
"""Largest absolute weight of an adapter."""
_LORA = re.compile(
    r"(?P<layer>(?:transformer|text_encoder|text_encoder_2)\..+)"
    r"\.(?:(?P<side>lora_A|lora_B|lora_linear_layer\.down|lora_linear_layer\.up)\.weight|alpha)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter and its weight.

    Raises:
        SynthError: The weight is out of range.
    """

    path: Path
    """Safetensors file, or folder with `pytorch_lora_weights.safetensors`."""
    weight: float = 1.0
    """Factor of the adapter's updates, -`MAX_WEIGHT` to `MAX_WEIGHT`."""

    def __post_init__(self) -> None:
        # `not ... <=` also refuses NaN, for which every comparison is false.
        if not abs(self.weight) <= MAX_WEIGHT:
            raise SynthError(
                f"{self.path} with weight {self.weight}; allowed: {_allowed_weights(self.path)}"
            )

    @property
    def file(self) -> Path:
        """Path of the safetensors file."""
        return self.path / WEIGHTS if self.path.is_dir() else self.path

    def describe(self) -> str:
        """Return name, hash and weight as `name@hash*weight`, for tables."""
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()[:12]
        return f"{self.path.stem}@{digest}*{self.weight:g}"


def _allowed_weights(path: str | Path) -> str:
    return f"a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, such as {path}:0.8"


def parse_adapter(text: str, find: Callable[[str], Path] = Path) -> Adapter:
    """Parse an adapter from `PATH` or `PATH:WEIGHT`.

    Args:
        text: Path, or path and weight.
        find: Function that resolves a written path.

    Raises:
        SynthError: The weight is not a number, or out of range.
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
            f"{path} with weight {suffix!r}; allowed: {_allowed_weights(path)}"
        ) from error
    return Adapter(path=find(path), weight=weight)


def attach_adapters(
    pipeline: Any, adapters: Sequence[Adapter], files: GeneratorFiles, *, fuse: bool
) -> tuple[Adapter, ...]:
    """Load adapters into a pipeline with their weights, after all checks.

    Args:
        pipeline: Diffusers pipeline of the base.
        adapters: Adapters with their weights.
        files: Files of the base.
        fuse: Whether the adapters are merged into the weights of the base.

    Returns:
        The adapters that were loaded.

    Raises:
        SynthError: A file cannot be read, was made for another base, or has no effect.
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
            # diffusers and PEFT raise many types for names and metadata they do not expect.
            raise SynthError(
                f"{adapter.file} cannot be loaded: {shorten(f'{type(error).__name__}: {error}')}; "
                "download or train the adapter again"
            ) from error
        names.append(name)
    before = _fingerprint(pipeline, enabled=False)
    for name, adapter in zip(names, adapters, strict=True):
        pipeline.set_adapters([name], [adapter.weight])
        after = _fingerprint(pipeline, enabled=True)
        if not bool(torch.isfinite(after).all()):
            raise SynthError(
                f"{adapter.file} with weight {adapter.weight:g} gives values of "
                f"{files.generator_id} that are not finite: lower the weight, or remove the adapter"
            )
        if adapter.weight and torch.equal(after, before):
            raise SynthError(
                f"{adapter.file} has no effect on {files.generator_id}: all its updates are zero "
                "or for other layers; use it with the base that it was trained on"
            )
    pipeline.set_adapters(names, [adapter.weight for adapter in adapters])
    if fuse:
        pipeline.fuse_lora(adapter_names=names)
        pipeline.unload_lora_weights()
    return tuple(adapters)


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Suppress the logs of diffusers about adapters.

    It warns of every text encoder that an adapter does not change, and logs failures that it also
    raises.
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
    """Refuse an adapter that is damaged, of another base, or of other shapes.

    Args:
        adapter: Adapter to check.
        shapes: Shapes of the base's tensors by part and name, such as `transformer.a.b.weight`.
        generator_id: Id of the base.
        repo: Hub id of the base; empty if it has none.

    Raises:
        SynthError: The adapter cannot be read, is damaged, or does not belong to this base.
    """
    file = adapter.file
    if not file.is_file():
        raise SynthError(f"there is no adapter at {file}; give a safetensors file or its folder")
    if file.suffix != ".safetensors":
        raise SynthError(
            f"{file} is not a safetensors file; other formats can run code and are never opened"
        )
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
        # The rank is the rows of the first matrix and the columns of the second.
        if base is None or min(len(down), len(up)) < 2 or (up[0], *down[1:]) != base:
            seen = "does not have this layer"
            if base is not None:
                seen = f"has {counted(base[-1], 'input')} and {counted(base[0], 'output')}"
            raise SynthError(
                f"{file} does not fit {generator_id}: {layer} has shapes {down} and {up}, and this "
                f"base {seen}" + (f"; its metadata names the base {named}" if named else "")
            )
        if down[0] != up[1] or not down[0]:
            raise SynthError(
                f"{file} is damaged: {layer} has ranks {down[0]} and {up[1]}; allowed: equal ranks "
                "of at least 1"
            )
    if other := other_base(metadata, generator_id, repo):
        raise SynthError(
            f"{file} was made for {other}, but {generator_id} is loaded: use it with its own base"
        )
    if broken is not None:
        raise SynthError(
            f"{file} is damaged: {broken} holds values that are not finite numbers; train it again "
            "at a lower rate, or copy it again"
        )


def _pairs(
    file: Path, shapes: dict[str, tuple[int, ...]]
) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the shapes of the two matrices of each layer's update, by layer."""
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
            f"{file} is not a LoRA of a diffusers SD3 transformer (names like "
            f"transformer.*.lora_A.weight); seen: {', '.join(sorted(shapes)[:2]) or 'no tensors'}"
        )
    if unknown:
        raise SynthError(
            f"{file} holds "
            f"{counted(len(unknown), 'tensor that does', 'tensors that do')} not belong to a LoRA, "
            f"such as {min(unknown)}; allowed: names like transformer.*.lora_A.weight"
        )
    if halves := sorted(layer for layer, sides in layers.items() if len(sides) != 2):
        has = next(iter(layers[halves[0]]))
        lacks = "B" if has == "A" else "A"
        raise SynthError(
            f"{file} is damaged: only one of two matrices for {len(halves)} of"
            f" {counted(len(layers), 'layer')} ({halves[0]} has lora_{has} and lacks lora_{lacks});"
            " copy or save it again"
        )
    return {layer: (sides["A"], sides["B"]) for layer, sides in layers.items()}


def _is_finite(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and bool(torch.isfinite(tensor.float()).all())


def _fingerprint(pipeline: Any, *, enabled: bool) -> torch.Tensor:
    """Return the outputs of transformer and CLIP text encoders for a fixed small input, flat."""
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
