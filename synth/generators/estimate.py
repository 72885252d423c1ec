"""Estimates of memory and transformer passes for a number of images, without loading weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch

from ...data.errors import ConfigError
from ...data.text.wording import counted
from .checkpoints import find_generator
from .load import LoadSettings, device_of, plan_for
from .memory import MemoryPlan
from .presets import NOTICE, PRESETS, Preset
from .registry import is_added

MAX_IMAGES: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """The estimate for one generator on one device."""

    preset: Preset
    """Preset of the generator."""
    generator: str
    """Name and commit or hash of the generator."""
    device: str
    """Name of the device."""
    plan: MemoryPlan
    """Placement, precision and size of the parts."""
    images: int
    """Number of images."""

    @property
    def passes(self) -> int:
        """Passes of the transformer over all images; guidance adds a second one per step."""
        per_step = 2.0 if self.preset.guidance > 1 else 1.0
        if self.preset.skip_layers:
            first, last = self.preset.skip_span
            per_step += last - first
        return round(self.images * self.preset.steps * per_step)

    def to_json(self) -> dict[str, Any]:
        """Return the estimate as JSON-ready values."""
        return {
            "generator": self.generator,
            "device": self.device,
            "device_gb": round(self.plan.device_gb, 2),
            "host_gb": round(self.plan.host_gb, 2),
            "component_gb": self.plan.component_gb,
            "steps": self.preset.steps,
            "guidance": self.preset.guidance,
            "images": self.images,
            "transformer_passes": self.passes,
            "licence": self.preset.licence,
            "license_flags": list(self.preset.license_flags),
        }

    def summary(self) -> str:
        """Return the estimate as a few lines of text."""
        preset = self.preset
        lines = [
            f"{self.generator} on {self.device}",
            f"load        {self.plan.describe()}",
            f"images      {self.images:,} at {preset.default_px}x{preset.default_px} px, "
            f"{counted(preset.steps, 'step')}, guidance {preset.guidance:g}: "
            f"{counted(self.passes, 'transformer pass', 'transformer passes')}",
            f"licence     {preset.licence}"
            + (f"; {', '.join(preset.license_flags)}" if preset.license_flags else ""),
        ]
        if preset.is_gated:
            lines.append(f"notice      {NOTICE}. Powered by Stability AI")
        return "\n".join(lines)


def announce(
    generator: str, *, memory: str | None, t5: str, precision: str, device: str, images: int
) -> Announcement:
    """Estimate what `load_generator` would load; registered generators need no download.

    Args:
        generator: Registered name, `org/name@commit`, or path of a local folder.
        memory: Memory of the device, such as `24GB`; None: not limited.
        t5: Treatment of the T5 encoder, as in `LoadSettings`.
        precision: Precision of the weights, as in `LoadSettings`.
        device: Name of the device, or `auto`.
        images: Number of images, 1 to `MAX_IMAGES`.

    Raises:
        SynthError: The generator does not exist, or no plan fits the memory.
        ConfigError: The memory, the device or the number of images is out of range, or the
            generator comes from an installed package.
    """
    if not 1 <= images <= MAX_IMAGES:
        raise ConfigError(f"images = {images}; allowed: 1 to {MAX_IMAGES:,}")
    if is_added(generator):
        raise ConfigError(
            f"{generator} comes from an installed package, whose memory is not known; estimates "
            f"exist for {', '.join(PRESETS)} and diffusers folders"
        )
    settings = LoadSettings(device=device, precision=precision, t5=t5, memory=memory)
    chosen = device_of(device)
    if generator in PRESETS and PRESETS[generator].repo:
        preset = PRESETS[generator]
        plan = plan_for(preset, settings, device=chosen)
        name = f"{preset.repo}@{preset.revision[:12]}"
    else:
        files = find_generator(generator)
        preset, name = files.preset, files.generator_id
        plan = plan_for(preset, settings, device=chosen, missing=files.missing)
    if chosen == "cuda" and memory is None and torch.cuda.is_available():
        name = f"{name} ({torch.cuda.get_device_properties(0).total_memory / 1e9:.0f} GB)"
    return Announcement(preset=preset, generator=name, device=chosen, plan=plan, images=images)
