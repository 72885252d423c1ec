"""Common parts of the methods that use a generator: settings, the request, the row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import numpy as np
from PIL import Image
from pydantic import Field

from ..generators.answers import answer_of
from ..generators.protocol import Generator, ImageRequest, Rgb
from ..job import Job
from ..masks import Mask
from ..parent_image import ParentImage
from ..reconstruct import encoded_as
from .fields import PATH_OR_NAME, InTable, MethodSettings, Name, Role, Steps, Text
from .protocol import FAKE, Made, Method, Needs, Tools


class PaintingSettings(MethodSettings):
    """Settings of every method that uses a generator."""

    generator: Annotated[
        Name,
        Role.LOADS,
        InTable(0),
        Field(
            description="Generator: a registered name, the name of an installed package's, a "
            f"diffusers folder ({PATH_OR_NAME}), or org/name@commit."
        ),
    ]
    prompt: Annotated[Text | None, Field(description="Description of the image.")] = None
    negative_prompt: Annotated[
        Text | None, Field(description="Description of what the image must not show.")
    ] = None
    steps: Annotated[
        Steps | None,
        Field(description="Number of denoising steps; default: that of the generator."),
    ] = None
    guidance: Annotated[
        float | None,
        Field(ge=0, le=100, description="Guidance scale; default: that of the generator."),
    ] = None
    lora: Annotated[
        Text | None,
        Role.LOADS,
        InTable(8),
        Field(description=f"LoRA adapters as PATH or PATH:WEIGHT, joined by +; {PATH_OR_NAME}."),
    ] = None
    clip: Annotated[
        Text | None,
        Role.LOADS,
        Role.MEASURES,
        Field(
            description="Folder of a CLIP model that scores each image against its prompt; "
            f"{PATH_OR_NAME}."
        ),
    ] = None


P = TypeVar("P", bound=PaintingSettings)


class PaintingMethod(Method[P]):
    """A method that uses a generator."""

    def needs(self, settings: P) -> Needs:
        """Return the generator, its adapters and the CLIP model to load."""
        return Needs(
            generator=settings.generator, lora=settings.lora or None, clip=settings.clip or None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The inputs of an image besides its settings; empty for text to image."""

    parent_rgb: Rgb | None = None
    """Parent image."""
    strength: float | None = None
    """Share of the denoising steps to run on the noised parent, in (0, 1]."""
    mask_hw: Mask | None = None
    """Mask of the parent's size, True where it is repainted."""
    control_rgb: Rgb | None = None
    """Control image of the ControlNet."""
    control_kind: str = "canny"
    """Kind of the control image: `canny`, `depth` or `blur`."""
    width_px: int | None = None
    """Width of the image in pixels; None: the parent's, else the generator's default."""
    height_px: int | None = None
    """Height of the image in pixels; None: the parent's, else the generator's default."""
    file_settings: Mapping[str, Any] = field(default_factory=lambda: {"format": "PNG"})
    """Arguments of `Image.save` that encode the file."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Plain values for the row's `params`."""


def generator_for(settings: PaintingSettings, tools: Tools, net: str | None = None) -> Generator:
    """Return the loaded generator of the settings, with its adapters and a ControlNet.

    Args:
        settings: Settings of the method.
        tools: Loaded models of the run.
        net: Folder of a ControlNet; None: without.
    """
    return tools.generator(settings.generator, settings.lora, net)


def fitted(parent: ParentImage, generator: Generator) -> Rgb:
    """Return the parent as RGB, reduced to a size that the generator supports, shape (H, W, 3)."""
    preset = getattr(generator, "preset", None)
    shown = parent.image
    if preset is not None:
        shown = shown.resize(preset.fitted(*shown.size), Image.Resampling.LANCZOS)
    return np.array(shown)


def paint(
    job: Job, settings: PaintingSettings, generator: Generator, canvas: Canvas, tools: Tools
) -> Made:
    """Make the image of a job with a generator.

    Args:
        job: Job of the image.
        settings: Settings of the method, with defaults.
        generator: Loaded generator.
        canvas: Parent, mask and control image.
        tools: Loaded models of the run.

    Raises:
        SynthError: The generator refuses the request, or does not return an image.
    """
    request = ImageRequest(
        prompt=settings.prompt or "",
        negative_prompt=settings.negative_prompt or "",
        seed=job.seed,
        width_px=canvas.width_px,
        height_px=canvas.height_px,
        steps=settings.steps,
        guidance=settings.guidance,
        parent_rgb=canvas.parent_rgb,
        strength=canvas.strength,
        mask_hw=canvas.mask_hw,
        control_rgb=canvas.control_rgb,
        control_kind=canvas.control_kind,
    )
    generator.check(request)
    pixels = answer_of(generator.generator_id, lambda: generator.make(request))
    steps, guidance = request.steps, request.guidance
    preset = getattr(generator, "preset", None)
    if preset is not None:
        usual = preset.usual(controlled=canvas.control_rgb is not None)
        steps, guidance = steps or usual[0], usual[1] if guidance is None else guidance
    return Made(
        raw=encoded_as(Image.fromarray(pixels), dict(canvas.file_settings)),
        label=FAKE,
        generator=generator.generator_id,
        lora=getattr(generator, "lora", None),
        prompt=request.prompt or None,
        negative_prompt=request.negative_prompt or None,
        steps=steps,
        guidance=guidance,
        strength=canvas.strength,
        license_flags=generator.license_flags,
        notes={**canvas.notes, **_measured(pixels, job, settings, tools)},
    )


def _measured(pixels: Rgb, job: Job, settings: PaintingSettings, tools: Tools) -> dict[str, Any]:
    """Measure similarity to the prompt and legible text, as far as the settings ask for it."""
    notes: dict[str, Any] = {}
    if settings.clip and settings.prompt:
        clip = tools.clip(settings.clip)
        notes |= {
            "clip": clip.clip_id,
            "clip_cosine": round(clip.cosine(pixels, settings.prompt), 4),
        }
    if getattr(settings, "ocr", None) and (expected := str(job.settings.get("expected_text", ""))):
        found = tools.reader().read(pixels, expected)
        notes |= {
            "ocr": tools.reader().reader_id,
            "text_read": found.read,
            "text_readable_share": round(found.share, 4),
        }
    return notes
