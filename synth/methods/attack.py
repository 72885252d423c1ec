"""`attack`: an adversarial example of the parent, within a few levels per sample."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import numpy as np
from PIL import Image
from pydantic import AfterValidator, Field

from ..generators.answers import decoded
from ..job import Job
from ..parent_image import open_parent
from ..reconstruct import encoded_as
from .attacking import AttackingMethod, AttackingSettings, aim_of, attack_notes, attacked
from .fields import InTable, Unit, refusal
from .protocol import FAKE, LAUNDERED, REAL, Made, Needs, Tools


def _whole_levels(value: float) -> float:
    """Refuse fractions of a level, which a file with 8 bits per sample cannot hold."""
    if value != round(value):
        raise refusal("allowed: whole levels of 255, since files hold no fractions")
    return value


class PixelAttackSettings(AttackingSettings):
    """Settings of `attack`."""

    kind: Annotated[
        Literal["pgd", "apgd"],
        InTable(1, is_named=False),
        Field(
            description="Attack: projected gradient descent with a fixed step size (pgd) or an "
            "adaptive one (apgd)."
        ),
    ] = "apgd"
    epsilon: Annotated[
        float,
        InTable(2),
        Unit("levels of 255"),
        Field(ge=1, le=64, description="Largest change of a sample."),
        AfterValidator(_whole_levels),
    ] = 4.0
    survive_files: Annotated[
        bool,
        InTable(6),
        Field(description="Whether the attack is optimised to survive JPEG and resizing."),
    ] = False


class PixelAttack(AttackingMethod[PixelAttackSettings]):
    """The method for adversarial examples in pixels, within a box around the parent."""

    name = "attack"
    description = (
        "An adversarial example: the parent changed by a few levels of 255 so that the detector is "
        "wrong; labelled fake, or laundered if the parent is a photo."
    )
    settings_model = PixelAttackSettings

    def needs(self, settings: PixelAttackSettings) -> Needs:
        """Return the detector to load."""
        return Needs(detector=attacked(settings))

    def follows_label(self, settings: PixelAttackSettings, parent_label: str | None) -> list[Any]:
        """Return whether the parent is a photo, and the direction in which the logit is moved."""
        return [_is_photo(parent_label), *super().follows_label(settings, parent_label)]

    def make(
        self, job: Job, settings: PixelAttackSettings, parent: bytes | None, tools: Tools
    ) -> Made:
        """Make the image of a job."""
        from ..attacks.expectation import FileDraws, through_files
        from ..attacks.pixel import AttackSettings, attack, check_levels, pixels_of, rgb_of

        attack_settings = AttackSettings(
            kind=settings.kind,
            epsilon_levels=float(settings.epsilon),
            steps=settings.steps,
            aim=aim_of(settings, job.parent_label),
            seed=job.seed,
        )
        logits = tools.logits(settings.detector)
        if settings.survive_files:
            logits = through_files(logits, FileDraws(seed=job.seed % 2**32))
        check_levels(attack_settings.epsilon_levels)
        opened = open_parent(parent)
        moved = attack(pixels_of(opened.rgb), logits, attack_settings)
        # JPEG if the attack is optimised to survive it, else lossless.
        kind = {"format": "JPEG", "quality": 90} if settings.survive_files else {"format": "PNG"}
        raw = encoded_as(Image.fromarray(rgb_of(moved)), kind)
        apart = decoded(raw, "the attack").astype(np.int16) - opened.rgb
        return Made(
            raw=raw,
            label=LAUNDERED if _is_photo(job.parent_label) else FAKE,
            steps=attack_settings.steps,
            strength=attack_settings.epsilon_levels,
            notes={
                **attack_notes(settings, attack_settings.aim, tools),
                # Measured on the file, since JPEG changes pixels beyond the attack.
                "levels_changed": int(np.abs(apart).max()),
                **opened.notes(),
            },
        )


def _is_photo(label: str | None) -> bool:
    return label in {REAL, LAUNDERED}


METHOD: Final = PixelAttack()
