"""A method that solarises the parent, like a photo that was exposed twice."""

from __future__ import annotations

import io
from typing import Annotated

from PIL import Image, ImageOps
from pydantic import BaseModel, Field

from assay.synth.job import Job
from assay.synth.methods.fields import InTable, Unit
from assay.synth.methods.protocol import Made, Method, Tools, label_after
from assay.synth.parent_image import open_parent


class SolariseSettings(BaseModel):
    """Settings of `solarise`, one value each; a list in a plan is swept."""

    threshold: Annotated[
        int,
        Field(ge=0, le=255, description="Value at and above which a sample is inverted."),
        Unit("levels of 255"),
        InTable(),  # part of the row names in the evasion table
    ] = 128


class Solarise(Method[SolariseSettings]):
    """The method that inverts the light samples of the parent."""

    name = "solarise"
    description = "The parent with its light samples inverted; labelled laundered, or fake."
    settings_model = SolariseSettings
    is_seeded = False

    def make(
        self, job: Job, settings: SolariseSettings, parent: bytes | None, tools: Tools
    ) -> Made:
        """Make the image of a job."""
        opened = open_parent(parent)
        file = io.BytesIO()
        ImageOps.solarize(Image.fromarray(opened.rgb), settings.threshold).save(file, "PNG")
        return Made(
            raw=file.getvalue(),
            label=label_after(job.parent_label),
            notes={"library": "Pillow", **opened.notes()},
        )
