"""What is known of the Stable Diffusion 3.5 family: where it lies, how to run it, what it allows.

The numbers are the publishers' own settings, not the defaults of the diffusers pipeline (28 steps
at guidance 7 over-saturates every model of the family). Revisions are pinned; a hub id without a
40-digit revision is refused.

Sources: Stability-AI/sd3.5 `sd3_infer.py` (steps, guidance, shift, skipped layers), the model
cards, and the Stability AI Community License of 5 July 2024.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ...data.errors import SynthError

MULTIPLE_PX: Final = 16
NO_FOUNDATION_MODELS: Final = "not_for_training_foundational_generative_models"
POWERED_BY: Final = "powered_by_stability_ai"
NOTICE: Final = (
    "This Stability AI Model is licensed under the Stability AI Community License, "
    "Copyright © Stability AI Ltd. All Rights Reserved"
)


def notices(license_flags: Iterable[str]) -> list[str]:
    """The sentences that licences want beside pictures with these flags, where they are shown."""
    flags, sentences = set(license_flags), []
    if POWERED_BY in flags:
        sentences.append(f"Powered by Stability AI. {NOTICE}.")
    if NO_FOUNDATION_MODELS in flags:
        sentences.append("Outputs may not be used to train foundational generative models.")
    return sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One generator: identity, how its publishers run it, its limits and its licence."""

    name: str
    repo: str
    """Hub id; empty for what is embedded."""
    revision: str
    steps: int
    guidance: float
    shift: float
    min_pixels: int
    max_pixels: int
    default_px: int
    max_side_px: int
    """How far the table of positions reaches."""
    parameters: dict[str, float]
    """Billions of numbers by component, the table of positions with the transformer."""
    skip_layers: tuple[int, ...] = ()
    """Layers left out of the skip-layer guidance pass; empty: no such pass."""
    skip_scale: float = 0.0
    skip_span: tuple[float, float] = (0.01, 0.2)
    control_steps: int | None = None
    """Steps and guidance with a ControlNet; None: as without."""
    control_guidance: float | None = None
    is_gated: bool = True
    licence: str = "Stability AI Community License"
    license_flags: tuple[str, ...] = (NO_FOUNDATION_MODELS, POWERED_BY)

    def usual(self, *, controlled: bool) -> tuple[int, float]:
        """Steps and guidance where nothing else is asked for, with a ControlNet or without."""
        if controlled and self.control_steps is not None and self.control_guidance is not None:
            return self.control_steps, self.control_guidance
        return self.steps, self.guidance

    def check_size(self, width_px: int, height_px: int) -> None:
        """Refuses sizes that the model cannot make, before anything is loaded.

        Raises:
            SynthError: A side is no multiple of 16 px, or the area is out of range.
        """
        if width_px % MULTIPLE_PX or height_px % MULTIPLE_PX or min(width_px, height_px) < 1:
            near = [
                max(round(side / MULTIPLE_PX), 1) * MULTIPLE_PX for side in (width_px, height_px)
            ]
            raise SynthError(
                f"{self.name} cannot make {width_px}x{height_px} px: both sides must be multiples "
                f"of {MULTIPLE_PX}; the nearest is {near[0]}x{near[1]}"
            )
        if not self.min_pixels <= width_px * height_px <= self.max_pixels:
            low, high = (round(n**0.5) for n in (self.min_pixels, self.max_pixels))
            raise SynthError(
                f"{self.name} cannot make {width_px}x{height_px} px well: allowed are areas from "
                f"{low}x{low} to {high}x{high} px"
            )
        if max(width_px, height_px) > self.max_side_px:
            raise SynthError(
                f"{self.name} cannot make {width_px}x{height_px} px: sides reach {self.max_side_px}"
            )

    def fitted(self, width_px: int, height_px: int) -> tuple[int, int]:
        """The size itself, or the largest of its shape that the model can make."""
        factor = min(
            1.0,
            (self.max_pixels / (width_px * height_px)) ** 0.5,
            self.max_side_px / max(width_px, height_px),
        )
        while True:
            size = max(int(width_px * factor), 1), max(int(height_px * factor), 1)
            # Sides are padded up to the multiple later; that must not cross a limit.
            padded = [-(-side // MULTIPLE_PX) * MULTIPLE_PX for side in size]
            if padded[0] * padded[1] <= self.max_pixels and max(padded) <= self.max_side_px:
                return size
            factor *= 0.99


# T5-XXL's encoder and the two CLIPs are the same files throughout the family.
_ENCODERS: Final = {"text_encoder": 0.124, "text_encoder_2": 0.695, "text_encoder_3": 4.762}
_VAE: Final = {"vae": 0.084}

LARGE: Final = Preset(
    name="sd3.5-large",
    repo="stabilityai/stable-diffusion-3.5-large",
    revision="ceddf0a7fdf2064ea28e2213e3b84e4afa170a0f",
    steps=40,
    guidance=4.5,
    shift=3.0,
    min_pixels=512**2,
    max_pixels=1152**2,
    default_px=1024,
    max_side_px=3072,
    parameters={"transformer": 8.146} | _ENCODERS | _VAE,
    control_steps=60,
    control_guidance=3.5,
)
LARGE_TURBO: Final = dataclasses.replace(
    LARGE,
    name="sd3.5-large-turbo",
    repo="stabilityai/stable-diffusion-3.5-large-turbo",
    revision="ec07796fc06b096cc56de9762974a28f4c632eda",
    steps=4,
    # Distilled: guidance would need a second pass that the model was not trained for.
    guidance=0.0,
    # The publishers made none for it.
    control_steps=None,
    control_guidance=None,
)
MEDIUM: Final = Preset(
    name="sd3.5-medium",
    repo="stabilityai/stable-diffusion-3.5-medium",
    revision="b940f670f0eda2d07fbb75229e779da1ad11eb80",
    steps=50,
    guidance=4.0,
    shift=3.0,
    min_pixels=512**2,
    max_pixels=1440**2,
    default_px=1024,
    max_side_px=6144,
    parameters={"transformer": 2.469} | _ENCODERS | _VAE,
    skip_layers=(7, 8, 9),
    skip_scale=2.5,
)
SMALL: Final = Preset(
    name="small",
    repo="",
    revision="",
    steps=20,
    guidance=3.0,
    shift=3.0,
    min_pixels=32**2,
    max_pixels=384**2,
    default_px=96,
    max_side_px=384,
    parameters={
        "transformer": 0.003,
        "text_encoder": 0.0003,
        "text_encoder_2": 0.0005,
        "vae": 0.002,
    },
    is_gated=False,
    licence="whatever its folder came with",
    license_flags=(),
)
"""For folders of the family's classes at other sizes, such as what `mini_training` trains."""
MINI_SD3: Final = dataclasses.replace(SMALL, name="mini-sd3", licence="Apache-2.0")
"""Embedded: tries the pipeline anywhere, and paints nothing that anybody would take for a photo."""
PRESETS: Final = {preset.name: preset for preset in (LARGE, LARGE_TURBO, MEDIUM, MINI_SD3)}
