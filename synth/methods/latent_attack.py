"""`latent-attack`: an adversarial example of the parent in the latents of an autoencoder."""

from __future__ import annotations

from typing import Annotated, Final

from PIL import Image
from pydantic import Field

from ..job import Job
from ..parent_image import open_parent
from ..reconstruct import encoded_as
from .aligned import Autoencoder
from .attacking import AttackingMethod, AttackingSettings, aim_of, attack_notes, attacked
from .fields import InTable, Steps, Unit
from .protocol import FAKE, Made, Needs, Tools


class LatentAttackSettings(AttackingSettings):
    """Settings of `latent-attack`."""

    autoencoder: Autoencoder
    box: Annotated[
        float,
        InTable(5),
        Unit("standard deviations of the latents"),
        Field(ge=0.001, le=10, description="Largest change of a latent."),
    ] = 0.3
    steps: Annotated[Steps, Field(description="Number of gradient steps.")] = 10


class LatentAttack(AttackingMethod[LatentAttackSettings]):
    """The method for adversarial examples in the latents of an autoencoder."""

    name = "latent-attack"
    description = (
        "An adversarial example: the parent changed in an autoencoder's latents so that the "
        "detector is wrong; labelled fake."
    )
    settings_model = LatentAttackSettings

    def needs(self, settings: LatentAttackSettings) -> Needs:
        """Return the autoencoder and the detector to load."""
        return Needs(autoencoder=settings.autoencoder, detector=attacked(settings))

    def make(
        self, job: Job, settings: LatentAttackSettings, parent: bytes | None, tools: Tools
    ) -> Made:
        """Make the image of a job."""
        from ..attacks.latent import latent_attack
        from ..attacks.pixel import AttackSettings

        autoencoder = tools.autoencoder(settings.autoencoder)
        aim = aim_of(settings, job.parent_label)
        attack_settings = AttackSettings(steps=settings.steps, aim=aim, seed=job.seed)
        opened = open_parent(parent)
        moved = latent_attack(
            opened.rgb,
            autoencoder,
            tools.logits(settings.detector),
            attack_settings,
            box_sd=float(settings.box),
        )
        return Made(
            raw=encoded_as(Image.fromarray(moved.rgb_u8_hwc), {"format": "PNG"}),
            # Whatever the parent's label: a decoder made these pixels.
            label=FAKE,
            generator=autoencoder.autoencoder_id,
            steps=attack_settings.steps,
            strength=float(settings.box),
            notes={**attack_notes(settings, aim, tools), **opened.notes()},
        )


METHOD: Final = LatentAttack()
