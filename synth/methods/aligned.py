"""`aligned`: the parent encoded and decoded by an autoencoder, in the file format of the parent."""

from __future__ import annotations

from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field

from ...data.errors import SynthError
from ..job import Job
from ..reconstruct import aligned_fake
from .fields import PATH_OR_NAME, InTable, MethodSettings, Name, Role, Share
from .protocol import FAKE, Made, Method, Needs, Tools

Autoencoder = Annotated[
    Name,
    Role.LOADS,
    InTable(0),
    Field(
        description="Autoencoder: the name of its generator, or a diffusers folder of a generator "
        f"or an autoencoder; {PATH_OR_NAME}."
    ),
]


class AlignedSettings(MethodSettings):
    """Settings of `aligned`."""

    autoencoder: Autoencoder
    dct_blend: Annotated[
        Share,
        InTable(4),
        Field(
            description="Share of the frequencies taken from the autoencoder's output; the others "
            "are the photo's."
        ),
    ] = 1.0


class Aligned(Method[AlignedSettings]):
    """The method for fakes with the content, size and compression of their parents."""

    name = "aligned"
    description = (
        "The parent encoded and decoded by an autoencoder, at the parent's size and compression; "
        "labelled fake."
    )
    settings_model = AlignedSettings

    def needs(self, settings: AlignedSettings) -> Needs:
        """Return the autoencoder to load."""
        return Needs(autoencoder=settings.autoencoder)

    def follows_label(self, settings: AlignedSettings, parent_label: str | None) -> list[Any]:
        """Return an empty list: the output of a decoder is fake whatever the parent's label."""
        return []

    def make(self, job: Job, settings: AlignedSettings, parent: bytes | None, tools: Tools) -> Made:
        """Make the image of a job.

        Raises:
            SynthError: There is no parent, or it cannot be decoded.
        """
        autoencoder = tools.autoencoder(settings.autoencoder)
        if parent is None:
            raise SynthError("this method needs a parent image")
        fake = aligned_fake(
            parent,
            autoencoder,
            dct_blend=float(settings.dct_blend),
            seed=job.seed,
            is_marked=False,
        )
        return Made(
            raw=fake.raw,
            label=FAKE,
            generator=autoencoder.autoencoder_id,
            notes={"psnr_db": round(fake.psnr_db, 2) if np.isfinite(fake.psnr_db) else None},
        )


METHOD: Final = Aligned()
