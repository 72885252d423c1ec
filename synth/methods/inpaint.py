"""`inpaint`: a part of the parent repainted, under a mask from a rule or a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from PIL import Image
from pydantic import Field

from ...data.errors import ConfigError
from ...data.text.wording import did_you_mean, shown
from ..job import Job
from ..masks import RULES, Mask, draw_mask, given_mask
from ..parent_image import ParentImage, open_parent
from ..plan_paths import is_folder, plan_path
from .fields import PATH_OR_NAME, InTable, Name
from .image_to_image import Strength
from .painting import Canvas, PaintingMethod, PaintingSettings, fitted, generator_for, paint
from .protocol import Made, Needs, Tools, swept_values


class InpaintSettings(PaintingSettings):
    """Settings of `inpaint`."""

    strength: Strength = 1.0
    mask: Annotated[
        Name,
        InTable(4),
        Field(
            description=f"Rule ({', '.join(RULES)}), or a folder with a mask IMAGE_ID.png for each "
            f"parent, white where the image is repainted; {PATH_OR_NAME}."
        ),
    ] = "box"


class Inpaint(PaintingMethod[InpaintSettings]):
    """The method that repaints a part of the parent."""

    name = "inpaint"
    description = "The parent repainted under a mask; labelled fake."
    settings_model = InpaintSettings
    edits_parent = True

    def needs(self, settings: InpaintSettings) -> Needs:
        """Return the generator to load, and the folder of masks."""
        pictures = {} if settings.mask in RULES else {"mask": settings.mask}
        return dataclasses.replace(super().needs(settings), pictures=pictures)

    def checked(self, block: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Refuse a mask that is neither a rule nor a folder.

        Raises:
            ConfigError: The mask is neither.
        """
        for mask in swept_values(block, "mask"):
            if mask not in RULES and not is_folder(plan_path(folder, mask)):
                raise ConfigError(
                    f"mask = {shown(mask)}; allowed: {', '.join(RULES)}, or a folder of masks"
                    f"{did_you_mean(mask, RULES)}"
                )
        return block

    def make(self, job: Job, settings: InpaintSettings, parent: bytes | None, tools: Tools) -> Made:
        """Make the image of a job."""
        opened = open_parent(parent)
        generator = generator_for(settings, tools)
        rgb = fitted(opened, generator)
        mask = _mask(settings.mask, job, opened, rgb.shape[:2], tools)
        painted = {"mask": settings.mask, "painted_share": round(float(mask.mean()), 4)}
        canvas = Canvas(
            parent_rgb=rgb,
            strength=float(settings.strength),
            mask_hw=mask,
            file_settings=opened.file_settings(),
            notes=opened.notes() | painted,
        )
        return paint(job, settings, generator, canvas, tools)


def _mask(rule: str, job: Job, parent: ParentImage, shape: tuple[int, ...], tools: Tools) -> Mask:
    """Return the mask at the painted size; one from a file is resized from the parent's size."""
    height, width = shape
    folder = tools.path(rule)
    if rule in RULES or not folder.is_dir():
        return draw_mask(rule, width, height, job.seed)
    given = Image.fromarray(given_mask(folder, str(job.parent_id), parent.image.size))
    return np.asarray(given.resize((width, height), Image.Resampling.NEAREST))


METHOD: Final = Inpaint()
