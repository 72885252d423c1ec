"""Stable Diffusion 3.5 as a generator: text to image, image to image, inpainting, ControlNet.

Images are made one at a time, each with its own random generator: a batch would change the last
bits of matrix products and with them pixels, and one megapixel already occupies a device fully.
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
from ...data.text.wording import counted
from .attention import repeated_last_token
from .checkpoints import GeneratorFiles, contents_sha256
from .control import control_input
from .lora import Adapter
from .memory import MemoryPlan
from .presets import MULTIPLE_PX, Preset
from .protocol import ImageRequest, Rgb

_T5_MAX_TOKENS: Final = 512
_T5_TOKENS: Final = 256


class Sd35Generator:
    """A loaded pipeline of the family as a `Generator`."""

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
        """Adapters as `name@hash*weight`, joined by a plus sign; None without adapters."""

    @property
    def generator_id(self) -> str:
        """Name and commit; for a local folder, name and hash of the weights."""
        return self._files.generator_id

    @functools.cached_property
    def contents(self) -> dict[str, Any]:
        """Everything but request and adapters that decides the pixels: files, precision, tiles."""
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
        """Licence flags of the preset."""
        return self.preset.license_flags

    @property
    def pipeline(self) -> Any:
        """Underlying diffusers pipeline."""
        return self._pipeline

    def check(self, request: ImageRequest) -> None:
        """Refuse sizes, prompts, strengths and control images that the model does not support.

        Raises:
            SynthError: Names the value of the request and the allowed ones.
        """
        width, height = self._size(request)
        self.preset.check_size(width, height)
        for what in (request.prompt, request.negative_prompt):
            self._check_length(what)
        if request.parent_rgb is not None:
            steps, strength = self._steps(request), self._strength(request)
            if int(steps * strength) < 1:
                raise SynthError(
                    f"{counted(steps, 'step')} at strength {strength} leave no step to run;"
                    f" allowed: strengths from {1 / steps:.3g} for {counted(steps, 'step')}"
                )
        if request.control_rgb is not None and not hasattr(self._pipeline, "controlnet"):
            raise SynthError(
                "the request has a control image, but no ControlNet is loaded; set controlnet to "
                "its folder"
            )
        if request.control_rgb is not None and request.parent_rgb is not None:
            raise SynthError(
                "the request has a control image and a parent; a ControlNet of this family starts "
                "from text: give only one of them"
            )
        if request.control_rgb is not None and request.control_rgb.shape[:2] != (height, width):
            seen = request.control_rgb.shape
            raise SynthError(
                f"the control image is {seen[1]}x{seen[0]} px and the image to make "
                f"{width}x{height} px; both must have the same size"
            )

    def make(self, request: ImageRequest) -> Rgb:
        """Make the image of a request from the request's own seed.

        Raises:
            SynthError: The request is refused by `check`.
            GeneratorFailed: The pipeline failed, or returned values that are not finite.
        """
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
                # The ControlNet pipeline has no skip-layer guidance.
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
            with (
                _all_noise_from(request.seed, pipeline),
                self._silence_in_one_token(request, options),
            ):
                made = pipeline(**options).images[0]
        except (ValueError, RuntimeError, TypeError, MemoryError) as error:
            raise GeneratorFailed(
                f"{self.generator_id} failed: {shorten(f'{type(error).__name__}: {error}')}"
            ) from error
        if not np.isfinite(made).all():
            raise GeneratorFailed(
                f"{self.generator_id} returned values that are not finite: {self._remedy()}"
            )
        pixels: Rgb = np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)
        if request.parent_rgb is not None:
            pixels = pixels[: request.parent_rgb.shape[0], : request.parent_rgb.shape[1]]
        return np.ascontiguousarray(pixels)

    @contextlib.contextmanager
    def _silence_in_one_token(
        self, request: ImageRequest, options: dict[str, Any]
    ) -> Iterator[None]:
        """Count one zero vector 256 times where T5 is absent, on the CPU and in fp32.

        In half formats the count would be rounded, and attention on accelerators is slower with
        a mask than with more tokens.
        """
        pipeline = self._pipeline
        is_plain = pipeline._execution_device.type == "cpu" and self.plan.precision == "fp32"
        if pipeline.text_encoder_3 is not None or request.extra or not is_plain:
            yield
            return
        times, options["max_sequence_length"] = options["max_sequence_length"], 1
        models = [pipeline.transformer, getattr(pipeline, "controlnet", None)]
        with repeated_last_token(filter(None, models), times):
            yield

    def _remedy(self) -> str:
        """Return the likely remedy for values that are not finite."""
        if self.plan.precision == "fp16":
            return "half precision can overflow; use bf16 or fp32"
        if self.lora is not None:
            return f"lower the weight of its adapters ({self.lora})"
        return "its weights may be damaged; download them again"

    @functools.cached_property
    def _text_to_image(self) -> Any:
        """Pipeline without the ControlNet, since that one requires a control image."""
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
            # Padded up to the multiple by repeating the edge; `make` crops it again.
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
            raise SynthError(f"{counted(steps, 'step')}; allowed: at least 1")
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
        """Refuse prompts that lose words: CLIP reads 77 tokens, and the rest only reaches T5."""
        if getattr(self._pipeline, "tokenizer_3", None) is not None:
            if (n := self._t5_tokens(text)) > _T5_MAX_TOKENS:
                raise SynthError(
                    f"the prompt has {n} tokens; the T5 encoder takes at most {_T5_MAX_TOKENS}: "
                    f"shorten {shorten(text, 60)!r}"
                )
            return
        tokenizer = self._pipeline.tokenizer
        n = len(tokenizer(text, truncation=False, verbose=False).input_ids)
        if n > tokenizer.model_max_length:
            raise SynthError(
                f"the prompt has {n} tokens; without T5 the encoders take at most "
                f"{tokenizer.model_max_length}: shorten {shorten(text, 60)!r}, or keep T5"
            )


@contextlib.contextmanager
def _all_noise_from(seed: int, pipeline: Any) -> Iterator[None]:
    """Make all noise of a pipeline depend on a seed alone, equally on every device.

    Diffusers does not draw everything from the generator it is given: the ControlNet pipeline
    samples the latents of its control image from the global generator of the device, whose noise
    differs on a GPU. The states of the global generators are restored afterwards.
    """
    draws = torch.Generator("cpu").manual_seed(seed)
    encode = pipeline.vae.encode

    def encode_seeded(*args: Any, **options: Any) -> Any:
        encoded = encode(*args, **options)
        sample = encoded.latent_dist.sample
        encoded.latent_dist.sample = lambda generator=None: sample(generator or draws)
        return encoded

    device = pipeline._execution_device
    kept = [device.index or 0] if device.type in {"cuda", "xpu"} else []
    with torch.random.fork_rng(kept, device_type=device.type):
        torch.manual_seed(seed)
        pipeline.vae.encode = encode_seeded
        try:
            yield
        finally:
            del pipeline.vae.encode


def quiet(pipeline: Any) -> Any:
    """Switch off the progress bar of a pipeline and return the pipeline."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _fitted(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pad an image at the right and bottom to a size by repeating its edge."""
    below, right = height - pixels.shape[0], width - pixels.shape[1]
    pads = ((0, below), (0, right), (0, 0))[: pixels.ndim]
    return np.pad(pixels, pads, mode="edge")
