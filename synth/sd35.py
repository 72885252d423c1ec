"""Pictures by the Stable Diffusion 3.5 family: text, image and mask to picture, with ControlNet.

One picture at a time, from a random generator of its own: batches would change the last bits of
matrix products and with them pixels, and one picture of a megapixel fills a device already.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError

from ..data.errors import SynthError, shorten
from .checkpoints import GeneratorFiles, find_generator
from .control import control_input
from .generator import Ask, Rgb
from .lora import Adapter, attach_adapters
from .memory_plan import MemoryPlan, best_plan, parse_memory, plan_of
from .presets import MULTIPLE_PX, Preset
from .quantised_parts import quantised_parts, quantisers

DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ACCELERATORS: Final = ("cuda", "xpu", "mps")
_T5_MAX_TOKENS: Final = 512
_T5_TOKENS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """How a generator is loaded; what is None or `auto` follows from the device."""

    device: str = "auto"
    precision: str = "auto"
    """fp32, bf16 or fp16; auto: bf16 on an accelerator, fp32 on a CPU."""
    t5: str = "auto"
    """keep, drop, int8 or nf4; auto: as the memory allows, else keep."""
    memory: str | None = None
    """Of the device, such as `24GB`; picks what is quantised and what takes turns."""
    controlnet: str | None = None
    """A local ControlNet folder."""
    adapters: tuple[Adapter, ...] = ()
    fuse: bool = False
    """Whether adapters become part of the weights: less work a step, last bits may differ."""


class Sd35Generator:
    """A loaded pipeline of the family behind the generator protocol."""

    def __init__(
        self,
        pipeline: Any,
        files: GeneratorFiles,
        plan: MemoryPlan,
        adapters: Sequence[Adapter],
        *,
        is_fused: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._files = files
        self.plan = plan
        self.preset: Preset = files.preset
        self.lora = "+".join(one.describe() for one in adapters) + " fused" * is_fused or None
        """The adapters as `name@hash*weight`, joined by a plus; None without any."""

    @property
    def generator_id(self) -> str:
        """Name and commit, or name and hash of a local folder's weights."""
        return self._files.generator_id

    @property
    def license_flags(self) -> tuple[str, ...]:
        """Of the preset."""
        return self.preset.license_flags

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline itself."""
        return self._pipeline

    def check(self, ask: Ask) -> None:
        """Refuse sizes, prompts and strengths that the model does not take."""
        width, height = self._size(ask)
        self.preset.check_size(width, height)
        for what in (ask.prompt, ask.negative_prompt):
            self._check_length(what)
        if ask.parent_rgb is not None:
            steps, strength = self._steps(ask), self._strength(ask)
            if int(steps * strength) < 1:
                raise SynthError(
                    f"{steps} steps at strength {strength} leave none to take; allowed: strengths "
                    f"from {1 / steps:.3g} for {steps} steps"
                )
        if ask.control_rgb is not None and not hasattr(self._pipeline, "controlnet"):
            raise SynthError("a control picture, but no ControlNet is loaded; name its folder")
        if ask.control_rgb is not None and ask.control_rgb.shape[:2] != (height, width):
            seen = ask.control_rgb.shape
            raise SynthError(
                f"the control is {seen[1]}x{seen[0]} px, the picture {width}x{height} px; they "
                "must be alike"
            )

    def make(self, ask: Ask) -> Rgb:
        """The picture of this ask, at the ask's own seed."""
        self.check(ask)
        width, height = self._size(ask)
        preset = self.preset
        options: dict[str, Any] = {
            "prompt": ask.prompt,
            "negative_prompt": ask.negative_prompt or None,
            "num_inference_steps": self._steps(ask),
            "guidance_scale": self._guidance(ask),
            "generator": torch.Generator("cpu").manual_seed(ask.seed),
            "max_sequence_length": self._sequence_length(ask),
            "output_type": "np",
        } | dict(ask.extra)
        if ask.parent_rgb is None:
            pipeline = self._pipeline
            options |= {"width": width, "height": height}
            if preset.skip_layers and options["guidance_scale"] > 1:
                options |= {
                    "skip_guidance_layers": list(preset.skip_layers),
                    "skip_layer_guidance_scale": preset.skip_scale,
                    "skip_layer_guidance_start": preset.skip_span[0],
                    "skip_layer_guidance_stop": preset.skip_span[1],
                }
            if ask.control_rgb is not None:
                # ControlNet's pipeline knows no skipped layers.
                options = {k: v for k, v in options.items() if not k.startswith("skip_")}
                options["control_image"] = control_input(ask.control_kind, ask.control_rgb)
        else:
            options |= {
                "image": Image.fromarray(_fitted(ask.parent_rgb, width, height)),
                "strength": self._strength(ask),
                "width": width,
                "height": height,
            }
            pipeline = self._image_to_image
            if ask.mask_hw is not None:
                pipeline = self._inpaint
                mask = _fitted(ask.mask_hw.astype(np.uint8) * 255, width, height)
                options["mask_image"] = Image.fromarray(mask)
        try:
            made = pipeline(**options).images[0]
        except (ValueError, RuntimeError, TypeError) as error:
            raise SynthError(
                f"{self.generator_id} failed: {shorten(f'{type(error).__name__}: {error}')}"
            ) from error
        if not np.isfinite(made).all():
            raise SynthError(
                f"{self.generator_id} gave values that are not finite, as half precision can; "
                "use bf16 or fp32"
            )
        pixels: Rgb = np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)
        if ask.parent_rgb is not None:
            pixels = pixels[: ask.parent_rgb.shape[0], : ask.parent_rgb.shape[1]]
        return np.ascontiguousarray(pixels)

    @functools.cached_property
    def _image_to_image(self) -> Any:
        from diffusers import StableDiffusion3Img2ImgPipeline

        return _quiet(StableDiffusion3Img2ImgPipeline(**self._shared()))

    @functools.cached_property
    def _inpaint(self) -> Any:
        from diffusers import StableDiffusion3InpaintPipeline

        return _quiet(StableDiffusion3InpaintPipeline(**self._shared()))

    def _shared(self) -> dict[str, Any]:
        parts: dict[str, Any] = dict(self._pipeline.components)
        parts.pop("controlnet", None)
        return parts

    def _size(self, ask: Ask) -> tuple[int, int]:
        if ask.parent_rgb is not None:
            # Padded by repetition up to the multiple, cut again afterwards.
            height, width = (
                -(-side // MULTIPLE_PX) * MULTIPLE_PX for side in ask.parent_rgb.shape[:2]
            )
            return width, height
        default = self.preset.default_px
        return ask.width_px or default, ask.height_px or default

    def _steps(self, ask: Ask) -> int:
        usual, _ = self.preset.usual(controlled=ask.control_rgb is not None)
        steps = usual if ask.steps is None else ask.steps
        if steps < 1:
            raise SynthError(f"{steps} steps; allowed: at least 1")
        return steps

    def _guidance(self, ask: Ask) -> float:
        if ask.guidance is not None:
            return ask.guidance
        return self.preset.usual(controlled=ask.control_rgb is not None)[1]

    def _strength(self, ask: Ask) -> float:
        return 0.5 if ask.strength is None else ask.strength

    def _sequence_length(self, ask: Ask) -> int:
        longest = max(self._t5_tokens(ask.prompt), self._t5_tokens(ask.negative_prompt))
        return _T5_TOKENS if longest <= _T5_TOKENS else _T5_MAX_TOKENS

    def _t5_tokens(self, text: str) -> int:
        tokenizer = getattr(self._pipeline, "tokenizer_3", None)
        return 0 if tokenizer is None else len(tokenizer(text, truncation=False).input_ids)

    def _check_length(self, text: str) -> None:
        """The CLIP encoders cut at their 77 tokens; with T5 the rest is still read, else lost."""
        if getattr(self._pipeline, "tokenizer_3", None) is not None:
            if (n := self._t5_tokens(text)) > _T5_MAX_TOKENS:
                raise SynthError(
                    f"a prompt of {n} tokens; the T5 encoder takes {_T5_MAX_TOKENS}: shorten "
                    f"{shorten(text, 60)!r}"
                )
            return
        tokenizer = self._pipeline.tokenizer
        n = len(tokenizer(text, truncation=False, verbose=False).input_ids)
        if n > tokenizer.model_max_length:
            raise SynthError(
                f"a prompt of {n} tokens; without T5 the encoders take "
                f"{tokenizer.model_max_length}: shorten {shorten(text, 60)!r}, or keep T5"
            )


def plan_for(
    preset: Preset, settings: LoadSettings, *, device: str, missing: Sequence[str] = ()
) -> MemoryPlan:
    """What `load_generator` would do with these settings, in gigabytes.

    Raises:
        SynthError: It does not fit.
    """
    precision = settings.precision
    if precision == "auto":
        precision = "fp32" if device == "cpu" else "bf16"
    if precision not in DTYPES:
        raise SynthError(f"a precision of {precision!r}; allowed: auto, {', '.join(DTYPES)}")
    if settings.t5 not in {"auto", "keep", "drop", "int8", "nf4"}:
        raise SynthError(f"T5 as {settings.t5!r}; allowed: auto, keep, drop, int8, nf4")
    side = preset.default_px
    has_t5 = "text_encoder_3" not in missing
    if settings.memory is not None:
        there = {name: n for name, n in preset.parameters.items() if name not in missing}
        plan = best_plan(
            dataclasses.replace(preset, parameters=there),
            parse_memory(settings.memory),
            width_px=side,
            height_px=side,
            precision=precision,
            quantisers=quantisers(device),
            takes_turns=device != "cpu",
        )
        return plan if has_t5 else dataclasses.replace(plan, t5="drop")
    t5: Any = "keep" if settings.t5 == "auto" else settings.t5
    return plan_of(
        preset, precision=precision, t5=t5 if has_t5 else "drop", width_px=side, height_px=side
    )


def load_generator(name: str, settings: LoadSettings | None = None) -> Sd35Generator:
    """A generator of the family, ready to make pictures.

    Raises:
        SynthError: The files cannot be had or trusted, an adapter does not fit, or the device
            cannot do what was asked.
    """
    from diffusers import StableDiffusion3ControlNetPipeline, StableDiffusion3Pipeline

    settings = settings or LoadSettings()
    files = find_generator(name)
    device = device_of(settings.device)
    if not _is_there(device.partition(":")[0]):
        raise SynthError(f"this machine has no {device} that PyTorch can use; use auto or cpu")
    plan = plan_for(files.preset, settings, device=device, missing=files.missing)
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
    _quiet(pipeline)
    adapters = attach_adapters(pipeline, settings.adapters, files, fuse=settings.fuse)
    if plan.vae_tiling:
        pipeline.vae.enable_tiling()
    if plan.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    is_fused = settings.fuse and bool(adapters)
    return Sd35Generator(pipeline, files, plan, adapters, is_fused=is_fused)


def _controlnet(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import SD3ControlNetModel

    if not any(folder.glob("*.safetensors")):
        raise SynthError(f"{folder} has no safetensors; name the folder of an SD3 ControlNet")
    try:
        return SD3ControlNetModel.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise SynthError(f"{folder} is no SD3 ControlNet: {shorten(str(error))}") from error


def device_of(name: str) -> str:
    """The device of a name; `auto` is the accelerator that is there, else the CPU.

    Raises:
        SynthError: No kind of device is named so.
    """
    if name == "auto":
        return next(filter(_is_there, ACCELERATORS), "cpu")
    if name.partition(":")[0] not in {"cpu", *ACCELERATORS}:
        raise SynthError(
            f"no device is named {name!r}; allowed: auto, cpu, {', '.join(ACCELERATORS)}"
        )
    return name


def _is_there(kind: str) -> bool:
    backend = getattr(torch, kind, None)
    return kind == "cpu" or (backend is not None and bool(backend.is_available()))


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Loading bars only where a terminal shows them."""
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


def _quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _fitted(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Padded by repetition at the right and below, up to this size."""
    below, right = height - pixels.shape[0], width - pixels.shape[1]
    pads = ((0, below), (0, right), (0, 0))[: pixels.ndim]
    return np.pad(pixels, pads, mode="edge")
