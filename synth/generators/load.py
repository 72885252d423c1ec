"""Loading of generators of the Stable Diffusion 3.5 family: parts, device, precision, offload."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError

from ...data.errors import SynthError, shorten
from ...data.machine import parse_device, require_device
from .checkpoints import find_generator
from .lora import Adapter, attach_adapters
from .memory import TILE_PX, MemoryPlan, best_plan, parse_memory, plan_of
from .presets import Preset
from .quantised_parts import quantised_parts, quantisers
from .sd35 import Sd35Generator, quiet

DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ACCELERATORS: Final = ("cuda", "xpu", "mps")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """Settings for loading a generator; the device decides values of None and `auto`."""

    device: str = "auto"
    """Device name, such as `cuda:0`; auto: an accelerator if there is one, else the CPU."""
    precision: str = "auto"
    """Precision of the weights: fp32, bf16 or fp16; auto: bf16 on an accelerator, else fp32."""
    t5: str = "auto"
    """Treatment of the T5 encoder: keep, drop, int8 or nf4; auto: by `memory`, else keep."""
    memory: str | None = None
    """Memory of the device, such as `24GB`; selects quantisation and offload. None: neither."""
    controlnet: str | None = None
    """Path of a local ControlNet folder."""
    adapters: tuple[Adapter, ...] = ()
    """LoRA adapters, with their weights."""
    fuse: bool = False
    """Whether adapters are merged into the weights: faster steps; last bits may differ."""


def plan_for(
    preset: Preset, settings: LoadSettings, *, device: str, missing: Sequence[str] = ()
) -> MemoryPlan:
    """Return the memory plan of `load_generator` for these settings; nothing is loaded.

    Args:
        preset: Preset of the generator.
        settings: Settings for loading it.
        device: Name of the device, never `auto`.
        missing: Optional parts that the generator's folder does not have.

    Raises:
        ConfigError: `settings.memory` is not an amount of memory.
        SynthError: A setting is unknown, or no plan fits the memory.
    """
    precision = settings.precision
    if precision == "auto":
        precision = "fp32" if device == "cpu" else "bf16"
    if precision not in DTYPES:
        raise SynthError(f"precision = {precision!r}; allowed: auto, {', '.join(DTYPES)}")
    if settings.t5 not in {"auto", "keep", "drop", "int8", "nf4"}:
        raise SynthError(f"t5 = {settings.t5!r}; allowed: auto, keep, drop, int8, nf4")
    t5: Any = None if settings.t5 == "auto" else settings.t5
    if "text_encoder_3" in missing:  # the only optional part that the plan counts
        t5 = "drop"
    side = preset.default_px
    if settings.memory is not None:
        return best_plan(
            preset,
            parse_memory(settings.memory),
            width_px=side,
            height_px=side,
            precision=precision,
            quantisers=quantisers(device),
            takes_turns=device != "cpu",
            t5=t5,
        )
    return plan_of(preset, precision=precision, t5=t5 or "keep", width_px=side, height_px=side)


def load_generator(
    name: str, settings: LoadSettings | None = None, *, plan: MemoryPlan | None = None
) -> Sd35Generator:
    """Load a generator of the family.

    Args:
        name: Registered name, `org/name@commit`, or path of a local folder.
        settings: Settings for loading; None: the defaults.
        plan: Placement and precision of each part; None: the plan of `plan_for`.

    Raises:
        SynthError: The files are missing or not trusted, an adapter does not fit, or the device
            does not support the settings.
        ConfigError: This machine does not have the device.
    """
    from diffusers import StableDiffusion3ControlNetPipeline, StableDiffusion3Pipeline

    settings = settings or LoadSettings()
    files = find_generator(name)
    device = usable_device(settings.device)
    plan = plan or plan_for(files.preset, settings, device=device, missing=files.missing)
    dtype = DTYPES[plan.precision]
    parts: dict[str, Any] = dict.fromkeys(files.missing)
    if plan.t5 == "drop":
        parts |= {"text_encoder_3": None, "tokenizer_3": None}
    with _no_bars():
        parts |= quantised_parts(files.folder, plan, dtype, device)
    kind: Any = StableDiffusion3Pipeline
    if settings.controlnet is not None:
        kind = StableDiffusion3ControlNetPipeline
        parts["controlnet"] = _controlnet(Path(settings.controlnet), dtype)
    try:
        with _no_bars():
            pipeline = kind.from_pretrained(
                files.folder, dtype=dtype, use_safetensors=True, local_files_only=True, **parts
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise SynthError(
            f"{files.folder} cannot be loaded: {shorten(f'{type(error).__name__}: {error}')}"
        ) from error
    quiet(pipeline)
    adapters = attach_adapters(pipeline, settings.adapters, files, fuse=settings.fuse)
    if plan.vae_tiling:
        _code_in_tiles(pipeline.vae)
    if plan.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    is_fused = settings.fuse and bool(adapters)
    return Sd35Generator(pipeline, files, plan, adapters, is_fused=is_fused)


def _code_in_tiles(vae: Any) -> None:
    """Encode and decode in tiles of `TILE_PX`; the family's default would start above 1024 px."""
    vae.enable_tiling()
    vae.tile_sample_min_size = TILE_PX
    vae.tile_latent_min_size = TILE_PX // 2 ** (len(vae.config.block_out_channels) - 1)
    vae.enable_slicing()  # for callers that pass batches to the pipeline itself


def _controlnet(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import SD3ControlNetModel

    if not any(folder.glob("*.safetensors")):
        raise SynthError(f"{folder} has no safetensors file; give the folder of an SD3 ControlNet")
    try:
        return SD3ControlNetModel.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise SynthError(f"{folder} is not an SD3 ControlNet: {shorten(str(error))}") from error


def device_of(name: str) -> str:
    """Return the device of a name; for `auto`, the first accelerator present, else the CPU.

    Raises:
        ConfigError: The name is not one of a device.
    """
    if parse_device(name, kinds=("cpu", *ACCELERATORS))[0] == "auto":
        return next(filter(_n_devices, ACCELERATORS), "cpu")
    return name


def usable_device(name: str) -> str:
    """Return the device of a name, after a check that this machine has it.

    Raises:
        ConfigError: The machine does not have it, or the name is not one of a device.
    """
    device = device_of(name)
    kinds = (*ACCELERATORS, "cpu")
    require_device(device, {kind: _n_devices(kind) for kind in kinds}, kinds=kinds)
    return device


def _n_devices(kind: str) -> int:
    backend = getattr(torch, kind, None)
    if kind == "cpu":
        return 1
    return backend.device_count() if backend is not None and backend.is_available() else 0


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Hide progress bars of loading where stderr is not a terminal."""
    import diffusers
    import transformers

    if sys.stderr.isatty():
        yield
        return
    libraries = (diffusers.utils.logging, transformers.utils.logging)
    for library in libraries:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in libraries:
            library.enable_progress_bar()
