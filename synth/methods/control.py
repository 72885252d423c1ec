"""`control`: a new image guided by the parent's edges, blur or depth through a ControlNet."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from ...data.errors import ConfigError
from ...data.images.decode import UPRIGHT, to_rgb
from ...data.text.wording import shown
from ..generators.control import DEPTH_IS_GIVEN, drawn_control
from ..generators.presets import MULTIPLE_PX
from ..generators.protocol import Rgb
from ..job import Job
from ..parent_image import open_parent
from ..plan_paths import is_folder, plan_path
from ..user_images import user_image
from .fields import PATH_OR_NAME, Name, Role
from .painting import Canvas, PaintingMethod, PaintingSettings, fitted, generator_for, paint
from .protocol import Made, Needs, Tools, swept_values


class ControlSettings(PaintingSettings):
    """Settings of `control`."""

    controlnet: Annotated[
        Name,
        Role.LOADS,
        Field(description=f"Folder of an SD3 ControlNet; {PATH_OR_NAME}.", examples=["FOLDER"]),
    ]
    control: Annotated[
        Literal["canny", "depth", "blur"],
        Field(description="Kind of the control image, which must be that of the ControlNet."),
    ]
    controls: Annotated[
        Name | None,
        Field(
            description="Folder with a control image IMAGE_ID.png for each parent, required for "
            f"depth; {PATH_OR_NAME}."
        ),
    ] = None


class Control(PaintingMethod[ControlSettings]):
    """The method for new images that follow a control image of the parent."""

    name = "control"
    description = (
        "A new image guided by the parent's edges, blur or given depth through a ControlNet; "
        "labelled fake."
    )
    settings_model = ControlSettings

    def needs(self, settings: ControlSettings) -> Needs:
        """Return the generator and its ControlNet to load, and the folder of control images."""
        return dataclasses.replace(
            super().needs(settings),
            controlnet=settings.controlnet,
            pictures={"controls": settings.controls} if settings.controls else {},
        )

    def checked(self, block: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Refuse `controls` that are not a folder, and depth without `controls`.

        Raises:
            ConfigError: The folder is missing.
        """
        controls = swept_values(block, "controls")
        for named in controls:
            if not is_folder(plan_path(folder, named)):
                raise ConfigError(
                    f"controls = {shown(named)} is not a folder; give an existing folder"
                )
        if "depth" in swept_values(block, "control") and not controls:
            raise ConfigError(DEPTH_IS_GIVEN)
        return block

    def follows_label(self, settings: ControlSettings, parent_label: str | None) -> list[Any]:
        """Return an empty list: the image is fake whatever the parent's label."""
        return []

    def make(self, job: Job, settings: ControlSettings, parent: bytes | None, tools: Tools) -> Made:
        """Make the image of a job."""
        opened = open_parent(parent)
        generator = generator_for(settings, tools, settings.controlnet)
        rgb = fitted(opened, generator)
        control = _control(job, settings, opened.image, rgb, tools)
        canvas = Canvas(
            control_rgb=control,
            control_kind=settings.control,
            width_px=control.shape[1],
            height_px=control.shape[0],
            file_settings=opened.file_settings(),
            notes=opened.notes(),
        )
        return paint(job, settings, generator, canvas, tools)


def _control(
    job: Job, settings: ControlSettings, parent: Image.Image, parent_rgb: Rgb, tools: Tools
) -> Rgb:
    """Return the control image, cropped to multiples of `MULTIPLE_PX`."""
    height, width = parent_rgb.shape[:2]
    if settings.controls:
        folder = tools.path(settings.controls)
        with user_image(folder, str(job.parent_id), parent.size, what="control") as given:
            shown_ = to_rgb(given, UPRIGHT).resize((width, height), Image.Resampling.LANCZOS)
        whole = np.asarray(shown_)
    else:
        whole = drawn_control(settings.control, parent_rgb)
    height, width = (side // MULTIPLE_PX * MULTIPLE_PX for side in (height, width))
    return np.ascontiguousarray(whole[:height, :width])


METHOD: Final = Control()
