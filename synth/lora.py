"""Adapters: which base they were made for, whether they fit it, and whether they do anything.

An adapter of another base often loads in silence and changes nothing, so three things are
checked: the base its metadata names, the shapes of its tensors, and that the transformer's
output with it differs from the output without.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from ..data.errors import SynthError, shorten

if TYPE_CHECKING:
    from .checkpoints import GeneratorFiles

WEIGHTS = "pytorch_lora_weights.safetensors"
BASE_KEYS = ("base_model", "ss_base_model_version", "modelspec.architecture", "assay.base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One LoRA: a safetensors file, or a folder that holds `pytorch_lora_weights.safetensors`."""

    path: Path
    weight: float = 1.0

    @property
    def file(self) -> Path:
        """The weights' file."""
        return self.path / WEIGHTS if self.path.is_dir() else self.path

    def describe(self) -> str:
        """Name, hash and weight, for tables."""
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()[:12]
        return f"{self.path.stem}@{digest}*{self.weight:g}"


def parse_adapter(text: str) -> Adapter:
    """An adapter from `PATH` or `PATH:WEIGHT`.

    Raises:
        SynthError: The weight is no number.
    """
    path, colon, weight = text.rpartition(":")
    if not colon or Path(text).exists():
        return Adapter(path=Path(text))
    try:
        return Adapter(path=Path(path), weight=float(weight))
    except ValueError:
        return Adapter(path=Path(text))


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
        name: tuple(tensor.shape) for name, tensor in pipeline.transformer.state_dict().items()
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
        except (ValueError, RuntimeError, OSError, KeyError) as error:
            raise SynthError(f"{adapter.file} cannot be loaded: {shorten(str(error))}") from error
        names.append(name)
    before = _fingerprint(pipeline, enabled=False)
    for name, adapter in zip(names, adapters, strict=True):
        pipeline.set_adapters([name], [adapter.weight])
        if adapter.weight and torch.equal(_fingerprint(pipeline, enabled=True), before):
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
    """Diffusers warns of every text encoder that an adapter leaves alone, as most do."""
    log = logging.getLogger("diffusers.loaders.lora_base")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def check_adapter(
    adapter: Adapter, shapes: dict[str, tuple[int, ...]], generator_id: str, repo: str
) -> None:
    """Refuses an adapter whose metadata names another base or whose shapes do not fit.

    Args:
        adapter: Where it lies.
        shapes: Of the base transformer's tensors by name.
        generator_id: Of the base, for messages.
        repo: Hub id of the base, empty where it has none.

    Raises:
        SynthError: It does not belong to this base.
    """
    file = adapter.file
    if file.suffix != ".safetensors":
        raise SynthError(f"{file} is no safetensors; other files can run code and are never opened")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            found = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise SynthError(f"{file} cannot be read as an adapter: {error}") from error
    named = _named_base(metadata)
    if named and repo and "/" in named and named.split("@")[0] != repo:
        raise SynthError(f"{file} was made for {named}; loaded is {generator_id}")
    matched = 0
    for name, shape in found.items():
        head, marker, _ = name.partition(".lora_A.")
        if not marker or not head.startswith("transformer."):
            continue
        target = f"{head.removeprefix('transformer.')}.weight"
        base = shapes.get(target)
        if base is None or base[1] != shape[1]:
            seen = "has no such layer" if base is None else f"takes {base[1]} values"
            raise SynthError(
                f"{file} does not fit {generator_id}: {target} takes {shape[1]} values there, and "
                f"this base {seen}" + (f"; it says it was made for {named}" if named else "")
            )
        matched += 1
    if not matched and not any(name.startswith("text_encoder") for name in found):
        raise SynthError(
            f"{file} holds no LoRA of a diffusers SD3 transformer (names like "
            f"transformer.*.lora_A.weight); seen: {', '.join(sorted(found)[:2]) or 'nothing'}"
        )


def _named_base(metadata: dict[str, str]) -> str:
    for key in BASE_KEYS:
        if value := metadata.get(key):
            return value
    try:
        told = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except ValueError:
        return ""
    value = told.get("transformer.base_model_name_or_path") if isinstance(told, dict) else None
    return str(value) if value else ""


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
