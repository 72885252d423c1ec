"""`aligned`: the parent through an autoencoder and back, encoded as it was."""

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
        description="Generator whose autoencoder it is, or a diffusers folder of a generator or an "
        f"autoencoder; {PATH_OR_NAME}."
    ),
]


class AlignedSettings(MethodSettings):
    """Settings of `aligned`."""

    autoencoder: Autoencoder
    dct_blend: Annotated[
        Share,
        InTable(4),
        Field(
            description="Share of the frequencies that are the autoencoder's; the others stay the "
            "photo's."
        ),
    ] = 1.0


class Aligned(Method[AlignedSettings]):
    """Makes fakes with the content, size and compression of their parents."""

    name = "aligned"
    description = (
        "The parent through an autoencoder and back, with its own size and compression; labelled "
        "fake."
    )
    settings_model = AlignedSettings

    def needs(self, settings: AlignedSettings) -> Needs:
        """Return the autoencoder."""
        return Needs(autoencoder=settings.autoencoder)

    def follows_label(self, settings: AlignedSettings, parent_label: str | None) -> list[Any]:
        """Return nothing: what comes out of a decoder is fake, whatever went in."""
        return []

    def make(self, job: Job, settings: AlignedSettings, parent: bytes | None, tools: Tools) -> Made:
        """Make the picture of a job."""
        autoencoder = tools.autoencoder(settings.autoencoder)
        if parent is None:
            raise SynthError("this method needs a parent picture")
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
