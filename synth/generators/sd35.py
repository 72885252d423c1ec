"""Pictures by the Stable Diffusion 3.5 family: text, image and mask to picture, with ControlNet.

One picture at a time, from a random generator of its own: batches would change the last bits of
matrix products and with them pixels, and one picture of a megapixel fills a device already.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from ...data.errors import GeneratorFailed, SynthError, shorten
from .checkpoints import GeneratorFiles, contents_sha256
from .control import control_input
from .lora import Adapter
from .memory import MemoryPlan
from .presets import MULTIPLE_PX, Preset
from .protocol import ImageRequest, Rgb

_T5_MAX_TOKENS: Final = 512
_T5_TOKENS: Final = 256


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
        self._is_fused = is_fused
        self.plan = plan
        self.preset: Preset = files.preset
        self.lora = (
            "+".join(adapter.describe() for adapter in adapters) + " fused" * is_fused or None
        )
        """The adapters as `name@hash*weight`, joined by a plus; None without any."""

    @property
    def generator_id(self) -> str:
        """Name and commit, or name and hash of a local folder's weights."""
        return self._files.generator_id

    @functools.cached_property
    def contents(self) -> dict[str, Any]:
        """What decides the pixels beside the request and the adapters: files, bits and tiles."""
        plan, preset = self.plan, self.preset
        return {
            "files": contents_sha256(self._files.folder),
            "bits": [plan.precision, plan.t5, plan.transformer],
            "in_tiles": plan.vae_tiling,
            "skips": [preset.skip_layers, preset.skip_scale, preset.skip_span],
            "is_fused": self._is_fused,
        }

    @property
    def license_flags(self) -> tuple[str, ...]:
        """Of the preset."""
        return self.preset.license_flags

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline itself."""
        return self._pipeline

    def check(self, request: ImageRequest) -> None:
        """Refuse sizes, prompts and strengths that the model does not take."""
        width, height = self._size(request)
        self.preset.check_size(width, height)
        for what in (request.prompt, request.negative_prompt):
            self._check_length(what)
        if request.parent_rgb is not None:
            steps, strength = self._steps(request), self._strength(request)
            if int(steps * strength) < 1:
                raise SynthError(
                    f"{steps} steps at strength {strength} leave none to take; allowed: strengths "
                    f"from {1 / steps:.3g} for {steps} steps"
                )
        if request.control_rgb is not None and not hasattr(self._pipeline, "controlnet"):
            raise SynthError("a control picture, but no ControlNet is loaded; name its folder")
        if request.control_rgb is not None and request.parent_rgb is not None:
            raise SynthError(
                "a control picture and a parent; the family's ControlNets make pictures from "
                "text: give one of them"
            )
        if request.control_rgb is not None and request.control_rgb.shape[:2] != (height, width):
            seen = request.control_rgb.shape
            raise SynthError(
                f"the control is {seen[1]}x{seen[0]} px, the picture {width}x{height} px; they "
                "must be alike"
            )

    def make(self, request: ImageRequest) -> Rgb:
        """The picture of this request, at the request's own seed."""
        self.check(request)
        width, height = self._size(request)
        preset = self.preset
        options: dict[str, Any] = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt or None,
            "num_inference_steps": self._steps(request),
            "guidance_scale": self._guidance(request),
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            "max_sequence_length": self._sequence_length(request),
            "output_type": "np",
        } | dict(request.extra)
        if request.parent_rgb is None:
            pipeline = self._pipeline if request.control_rgb is not None else self._text_to_image
            options |= {"width": width, "height": height}
            if preset.skip_layers and options["guidance_scale"] > 1:
                options |= {
                    "skip_guidance_layers": list(preset.skip_layers),
                    "skip_layer_guidance_scale": preset.skip_scale,
                    "skip_layer_guidance_start": preset.skip_span[0],
                    "skip_layer_guidance_stop": preset.skip_span[1],
                }
            if request.control_rgb is not None:
                # ControlNet's pipeline knows no skipped layers.
                options = {k: v for k, v in options.items() if not k.startswith("skip_")}
                options["control_image"] = control_input(request.control_kind, request.control_rgb)
        else:
            options |= {
                "image": Image.fromarray(_fitted(request.parent_rgb, width, height)),
                "strength": self._strength(request),
                "width": width,
                "height": height,
            }
            pipeline = self._image_to_image
            if request.mask_hw is not None:
                pipeline = self._inpaint
                mask = _fitted(request.mask_hw.astype(np.uint8) * 255, width, height)
                options["mask_image"] = Image.fromarray(mask)
        try:
            with _all_noise_from(request.seed, pipeline._execution_device):
                made = pipeline(**options).images[0]
        except (ValueError, RuntimeError, TypeError, MemoryError) as error:
            raise GeneratorFailed(
                f"{self.generator_id} failed: {shorten(f'{type(error).__name__}: {error}')}"
            ) from error
        if not np.isfinite(made).all():
            raise GeneratorFailed(
                f"{self.generator_id} gave values that are not finite: {self._remedy()}"
            )
        pixels: Rgb = np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)
        if request.parent_rgb is not None:
            pixels = pixels[: request.parent_rgb.shape[0], : request.parent_rgb.shape[1]]
        return np.ascontiguousarray(pixels)

    def _remedy(self) -> str:
        """What to do about values that are not finite, as far as the settings tell."""
        if self.plan.precision == "fp16":
            return "half precision can overflow; use bf16 or fp32"
        if self.lora is not None:
            return f"lower the weight of its adapters ({self.lora})"
        return "its weights may be damaged; fetch them again"

    @functools.cached_property
    def _text_to_image(self) -> Any:
        """Without the ControlNet, whose pipeline makes nothing without a control picture."""
        from diffusers import StableDiffusion3Pipeline

        if not hasattr(self._pipeline, "controlnet"):
            return self._pipeline
        return quiet(StableDiffusion3Pipeline(**self._shared()))

    @functools.cached_property
    def _image_to_image(self) -> Any:
        from diffusers import StableDiffusion3Img2ImgPipeline

        return quiet(StableDiffusion3Img2ImgPipeline(**self._shared()))

    @functools.cached_property
    def _inpaint(self) -> Any:
        from diffusers import StableDiffusion3InpaintPipeline

        return quiet(StableDiffusion3InpaintPipeline(**self._shared()))

    def _shared(self) -> dict[str, Any]:
        parts: dict[str, Any] = dict(self._pipeline.components)
        parts.pop("controlnet", None)
        return parts

    def _size(self, request: ImageRequest) -> tuple[int, int]:
        if request.parent_rgb is not None:
            # Padded by repetition up to the multiple, cut again afterwards.
            height, width = (
                -(-side // MULTIPLE_PX) * MULTIPLE_PX for side in request.parent_rgb.shape[:2]
            )
            return width, height
        default = self.preset.default_px
        return request.width_px or default, request.height_px or default

    def _steps(self, request: ImageRequest) -> int:
        usual, _ = self.preset.usual(controlled=request.control_rgb is not None)
        steps = usual if request.steps is None else request.steps
        if steps < 1:
            raise SynthError(f"{steps} steps; allowed: at least 1")
        return steps

    def _guidance(self, request: ImageRequest) -> float:
        if request.guidance is not None:
            return request.guidance
        return self.preset.usual(controlled=request.control_rgb is not None)[1]

    def _strength(self, request: ImageRequest) -> float:
        return 0.5 if request.strength is None else request.strength

    def _sequence_length(self, request: ImageRequest) -> int:
        longest = max(self._t5_tokens(request.prompt), self._t5_tokens(request.negative_prompt))
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


@contextlib.contextmanager
def _all_noise_from(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds what diffusers draws without the generator it is given, and leaves no trace of it.

    The ControlNet pipeline draws the code of its control picture so.
    """
    kept = [device.index or 0] if device.type in {"cuda", "xpu"} else []
    with torch.random.fork_rng(kept, device_type=device.type):
        torch.manual_seed(seed)
        yield


def quiet(pipeline: Any) -> Any:
    """The pipeline, without bars of its own."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _fitted(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Padded by repetition at the right and below, up to this size."""
    below, right = height - pixels.shape[0], width - pixels.shape[1]
    pads = ((0, below), (0, right), (0, 0))[: pixels.ndim]
    return np.pad(pixels, pads, mode="edge")
