"""Presets of the Stable Diffusion 3.5 family: hub id, default settings, size limits, licence.

The defaults are those of the publisher, not those of the diffusers pipeline (28 steps at guidance
7 over-saturate every model of the family). Revisions are pinned; a hub id without a 40-digit
revision is refused.

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
    """Return the sentences that licences require next to images with these flags.

    Args:
        license_flags: Licence flags of the images.
    """
    flags, sentences = set(license_flags), []
    if POWERED_BY in flags:
        sentences.append(f"Powered by Stability AI. {NOTICE}.")
    if NO_FOUNDATION_MODELS in flags:
        sentences.append("Outputs may not be used to train foundational generative models.")
    return sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One generator: identity, default settings, size limits and licence."""

    name: str
    """Name in plans and commands."""
    repo: str
    """Hub id; empty for a generator that is not on the hub."""
    revision: str
    """Commit of the hub, 40 hex digits."""
    steps: int
    """Default number of denoising steps."""
    guidance: float
    """Default scale of classifier-free guidance."""
    shift: float
    """Shift of the noise schedule."""
    min_pixels: int
    """Smallest area of an image, in pixels."""
    max_pixels: int
    """Largest area of an image, in pixels."""
    default_px: int
    """Default side of an image, in pixels."""
    max_side_px: int
    """Longest side that the position embeddings cover, in pixels."""
    parameters: dict[str, float]
    """Billions of parameters by component; position embeddings count as the transformer's."""
    skip_layers: tuple[int, ...] = ()
    """Layers that skip-layer guidance leaves out; empty: no skip-layer guidance."""
    skip_scale: float = 0.0
    """Scale of skip-layer guidance."""
    skip_span: tuple[float, float] = (0.01, 0.2)
    """First and last share of the steps with skip-layer guidance."""
    control_steps: int | None = None
    """Default number of steps with a ControlNet; None: `steps`."""
    control_guidance: float | None = None
    """Default guidance with a ControlNet; None: `guidance`."""
    is_gated: bool = True
    """Whether the hub requires accepting the licence before the download."""
    licence: str = "Stability AI Community License"
    """Name of the licence."""
    license_flags: tuple[str, ...] = (NO_FOUNDATION_MODELS, POWERED_BY)
    """Conditions of the licence on the images."""

    def usual(self, *, controlled: bool) -> tuple[int, float]:
        """Return the default steps and guidance.

        Args:
            controlled: Whether a ControlNet is used.
        """
        if controlled and self.control_steps is not None and self.control_guidance is not None:
            return self.control_steps, self.control_guidance
        return self.steps, self.guidance

    def check_size(self, width_px: int, height_px: int) -> None:
        """Refuse sizes that the model does not support, before anything is loaded.

        Raises:
            SynthError: A side is not a multiple of 16 px or too long, or the area is out of range.
        """
        if width_px % MULTIPLE_PX or height_px % MULTIPLE_PX or min(width_px, height_px) < 1:
            near = [
                max(round(side / MULTIPLE_PX), 1) * MULTIPLE_PX for side in (width_px, height_px)
            ]
            raise SynthError(
                f"{self.name} cannot make {width_px}x{height_px} px: both sides must be multiples "
                f"of {MULTIPLE_PX} px; the nearest size is {near[0]}x{near[1]}"
            )
        if not self.min_pixels <= width_px * height_px <= self.max_pixels:
            low, high = (round(n**0.5) for n in (self.min_pixels, self.max_pixels))
            raise SynthError(
                f"{self.name} cannot make {width_px}x{height_px} px; allowed: areas from "
                f"{low}x{low} to {high}x{high} px"
            )
        if max(width_px, height_px) > self.max_side_px:
            raise SynthError(
                f"{self.name} cannot make {width_px}x{height_px} px; allowed: sides up to "
                f"{self.max_side_px} px"
            )

    def fitted(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the size itself, or the largest one of its aspect ratio that the model supports.

        Returns:
            Width and height in pixels, before they are padded to multiples of 16.
        """
        factor = min(
            1.0,
            (self.max_pixels / (width_px * height_px)) ** 0.5,
            self.max_side_px / max(width_px, height_px),
        )
        while True:
            size = max(int(width_px * factor), 1), max(int(height_px * factor), 1)
            # Sides are padded up to the multiple later, which must not exceed a limit.
            padded = [-(-side // MULTIPLE_PX) * MULTIPLE_PX for side in size]
            if padded[0] * padded[1] <= self.max_pixels and max(padded) <= self.max_side_px:
                return size
            factor *= 0.99


# All models of the family share the files of the T5-XXL encoder and both CLIP encoders.
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
    licence="see the model's folder",
    license_flags=(),
)
"""Preset of folders with the family's classes at other sizes, such as those of `mini_training`."""
MINI_SD3: Final = dataclasses.replace(SMALL, name="mini-sd3", licence="Apache-2.0")
"""Preset of the embedded generator, which runs anywhere; nobody takes its images for photos."""
PRESETS: Final = {preset.name: preset for preset in (LARGE, LARGE_TURBO, MEDIUM, MINI_SD3)}
