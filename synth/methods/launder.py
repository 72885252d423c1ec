"""`launder`: the processing of platforms, by named conditions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from ..job import Job
from ..laundering import CONDITIONS, VERSION, conditions
from ..parent_image import open_parent
from .fields import InTable, MethodSettings, Text
from .protocol import Made, Method, Tools, label_after, swept_values

_FAMILIES: Final = tuple(dict.fromkeys(condition.family for condition in CONDITIONS))


class LaunderSettings(MethodSettings):
    """Settings of `launder`."""

    condition: Annotated[
        Text | None,
        InTable(1, is_named=False),
        Field(
            description=f"Name of a condition, or a family of them ({', '.join(_FAMILIES)}); "
            "default: all."
        ),
    ] = None


class Launder(Method[LaunderSettings]):
    """The method that applies one condition to the parent; it has no randomness."""

    name = "launder"
    description = (
        "The parent as platforms process it: compression, resizing, crops, screenshots; labelled "
        "laundered, or fake if the parent is."
    )
    settings_model = LaunderSettings
    is_seeded = False

    def checked(self, block: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Return the block with the versioned names of its conditions.

        Raises:
            SynthError: A condition is unknown.
        """
        chosen = conditions(tuple(map(str, swept_values(block, "condition"))))
        return {**block, "condition": [f"{VERSION}/{one.name}" for one in chosen]}

    def make(self, job: Job, settings: LaunderSettings, parent: bytes | None, tools: Tools) -> Made:
        """Make the image of a job."""
        name = str(settings.condition).rpartition("/")[2]
        (condition,) = conditions((name,))
        opened = open_parent(parent)
        return Made(
            raw=condition.apply(opened.rgb),
            label=label_after(job.parent_label),
            notes=opened.notes(),
        )


METHOD: Final = Launder()
