"""What methods that paint with a generator have in common: settings, the request, the row."""

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
from ..parent_image import ParentPicture
from ..reconstruct import encoded_as
from .fields import PATH_OR_NAME, InTable, MethodSettings, Name, Role, Steps, Text
from .protocol import FAKE, Made, Method, Needs, Tools


class PaintingSettings(MethodSettings):
    """Settings of every method that paints."""

    generator: Annotated[
        Name,
        Role.LOADS,
        InTable(0),
        Field(
            description="Registered generator, that of an installed package, a diffusers folder "
            f"({PATH_OR_NAME}), or org/name@commit."
        ),
    ]
    prompt: Annotated[Text | None, Field(description="What the picture shall show.")] = None
    negative_prompt: Annotated[
        Text | None, Field(description="What the picture shall not show.")
    ] = None
    steps: Annotated[
        Steps | None, Field(description="Denoising steps; the generator's own without it.")
    ] = None
    guidance: Annotated[
        float | None,
        Field(ge=0, le=100, description="Guidance scale; the generator's own without it."),
    ] = None
    lora: Annotated[
        Text | None,
        Role.LOADS,
        InTable(8),
        Field(description=f"Adapters as PATH or PATH:WEIGHT, several joined by +; {PATH_OR_NAME}."),
    ] = None
    clip: Annotated[
        Text | None,
        Role.LOADS,
        Role.MEASURES,
        Field(
            description="Folder of a CLIP model that measures each picture against its prompt; "
            f"{PATH_OR_NAME}."
        ),
    ] = None


P = TypeVar("P", bound=PaintingSettings)


class PaintingMethod(Method[P]):
    """A method that paints with a generator."""

    def needs(self, settings: P) -> Needs:
        """Return the generator with its adapters, and what measures the picture."""
        return Needs(
            generator=settings.generator, lora=settings.lora or None, clip=settings.clip or None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """What a picture is painted on or along; nothing for one from a prompt alone."""

    parent_rgb: Rgb | None = None
    strength: float | None = None
    mask_hw: Mask | None = None
    control_rgb: Rgb | None = None
    control_kind: str = "canny"
    width_px: int | None = None
    height_px: int | None = None
    file_settings: Mapping[str, Any] = field(default_factory=lambda: {"format": "PNG"})
    """How the file is encoded: arguments of `Image.save`."""
    notes: Mapping[str, Any] = field(default_factory=dict)


def generator_for(settings: PaintingSettings, tools: Tools, net: str | None = None) -> Generator:
    """Return the generator of these settings, adapters and a ControlNet included."""
    return tools.generator(settings.generator, settings.lora, net)


def fitted(parent: ParentPicture, generator: Generator) -> Rgb:
    """Return the parent, reduced to what the generator can paint, shape (H, W, 3)."""
    preset = getattr(generator, "preset", None)
    shown = parent.image
    if preset is not None:
        shown = shown.resize(preset.fitted(*shown.size), Image.Resampling.LANCZOS)
    return np.array(shown)


def paint(
    job: Job, settings: PaintingSettings, generator: Generator, canvas: Canvas, tools: Tools
) -> Made:
    """Paint the picture of a job.

    Raises:
        SynthError: The generator refuses the request, or gives no picture.
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
    """What was asked to be measured on the picture: likeness to its prompt, its text."""
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
