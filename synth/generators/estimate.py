"""What would be loaded, in how many gigabytes, for how many pictures; nothing is loaded for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch

from ...data.errors import ConfigError
from .checkpoints import find_generator
from .load import LoadSettings, device_of, plan_for
from .memory import MemoryPlan
from .presets import NOTICE, PRESETS, Preset
from .registry import is_added

MAX_IMAGES: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A plan in words, before anything is loaded."""

    preset: Preset
    generator: str
    device: str
    plan: MemoryPlan
    images: int

    @property
    def passes(self) -> int:
        """Of the transformer, over all pictures: guidance costs a second one a step."""
        per_step = 2.0 if self.preset.guidance > 1 else 1.0
        if self.preset.skip_layers:
            first, last = self.preset.skip_span
            per_step += last - first
        return round(self.images * self.preset.steps * per_step)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
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
        """A few lines."""
        preset = self.preset
        lines = [
            f"{self.generator} on {self.device}",
            f"load        {self.plan.describe()}",
            f"pictures    {self.images:,} at {preset.default_px}x{preset.default_px} px, "
            f"{preset.steps} steps, guidance {preset.guidance:g}: {self.passes:,} passes of the "
            "transformer",
            f"licence     {preset.licence}"
            + (f"; {', '.join(preset.license_flags)}" if preset.license_flags else ""),
        ]
        if preset.is_gated:
            lines.append(f"notice      {NOTICE}. Powered by Stability AI")
        return "\n".join(lines)


def announce(
    generator: str, *, memory: str | None, t5: str, precision: str, device: str, images: int
) -> Announcement:
    """What `load_generator` would do. Registered generators need not be there for it.

    Raises:
        SynthError: No such generator, or it does not fit the memory.
        ConfigError: The memory is not understood, or the number of pictures cannot be.
    """
    if not 1 <= images <= MAX_IMAGES:
        raise ConfigError(f"images = {images}; allowed: 1 to {MAX_IMAGES:,}")
    if is_added(generator):
        raise ConfigError(
            f"{generator} comes from an installed package, which loads it in its own way; what it "
            f"takes is known of {', '.join(PRESETS)} and diffusers folders"
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
