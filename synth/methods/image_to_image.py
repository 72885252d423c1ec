"""`image-to-image`: the whole parent repainted by a generator."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from ..job import Job
from ..parent_image import open_parent
from .fields import InTable
from .painting import Canvas, PaintingMethod, PaintingSettings, fitted, generator_for, paint
from .protocol import Made, Tools

Strength = Annotated[
    float,
    InTable(3),
    Field(
        ge=0.01,
        le=1,
        description="Share of the denoising steps to run on the noised parent: low values change "
        "little, 1 keeps nothing of the parent.",
    ),
]


class ImageToImageSettings(PaintingSettings):
    """Settings of `image-to-image`."""

    strength: Strength = 0.5


class ImageToImage(PaintingMethod[ImageToImageSettings]):
    """The method that repaints the whole parent."""

    name = "image-to-image"
    description = "The whole parent repainted at a strength; labelled fake."
    settings_model = ImageToImageSettings
    edits_parent = True

    def make(
        self, job: Job, settings: ImageToImageSettings, parent: bytes | None, tools: Tools
    ) -> Made:
        """Make the image of a job."""
        opened = open_parent(parent)
        generator = generator_for(settings, tools)
        canvas = Canvas(
            parent_rgb=fitted(opened, generator),
            strength=float(settings.strength),
            file_settings=opened.file_settings(),
            notes=opened.notes(),
        )
        return paint(job, settings, generator, canvas, tools)


METHOD: Final = ImageToImage()
