"""Memory plans: placement, precision and size of a generator's parts, before they are loaded.

The sizes are estimates: bytes of all parameters, and a working set that grows with the pixels.
`benchmarks/true_sizes.py` measures the peaks on a device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ...data.errors import ConfigError, SynthError
from .presets import Preset

T5 = Literal["keep", "drop", "int8", "nf4"]
BYTES: Final = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.05, "nf4": 0.56}
"""Bytes per parameter; quantised formats include their scales."""
# bitsandbytes does not quantise T5's output projections (24 of 4096 by 10240) nor its embeddings
# (32128 by 4096); torchao leaves out the embeddings alone, and takes 1 GB less than estimated.
_T5_NOT_QUANTISED: Final = (24 * 4096 * 10240 + 32128 * 4096) / 4.762e9
# Activations of the transformer and the autoencoder's decoder in bf16, per megapixel. The decoder
# alone, at its published widths on a CPU, took 2.0 GB for one megapixel and 0.5 GB in tiles.
_WORKING_GB_PER_MP: Final = 2.5
_TILED_WORKING_GB: Final = 0.8
TILE_PX: Final = 512
"""Side of a tile of the autoencoder, in pixels, where tiling is on."""
_UNITS: Final = {"gb": 1e9, "gib": 2**30, "mb": 1e6, "mib": 2**20}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Placement and precision of a generator's parts, with estimated sizes in GB (1e9 bytes)."""

    precision: str
    """Precision of the parts that are not quantised."""
    t5: T5
    """Treatment of the T5 encoder."""
    transformer: str
    """Precision of the transformer's weights, or `int8` or `nf4`."""
    offload: Literal["none", "model"]
    """Offload to main memory; `model`: only the part that is running is on the device."""
    vae_tiling: bool
    """Whether the autoencoder works in tiles of `TILE_PX`."""
    component_gb: dict[str, float]
    """Weights in GB, by part."""
    device_gb: float
    """Peak memory on the device, in GB."""
    host_gb: float
    """Main memory for offloaded parts, in GB."""

    def describe(self) -> str:
        """Return the plan in one line of text."""
        parts = ", ".join(f"{name} {gb:.2f}" for name, gb in self.component_gb.items())
        ways = [f"{self.precision}"]
        if self.transformer != self.precision:
            ways.append(f"transformer {self.transformer}")
        ways.append({"keep": "T5 kept", "drop": "without T5"}.get(self.t5, f"T5 in {self.t5}"))
        if self.offload == "model":
            ways.append("parts offloaded to main memory")
        if self.vae_tiling:
            ways.append("decoding in tiles")
        return (
            f"{', '.join(ways)}: about {self.device_gb:.1f} GB on the device, "
            f"{self.host_gb:.1f} GB in main memory (GB per part: {parts})"
        )


def parse_memory(text: str) -> float:
    """Return the number of bytes of a text such as `24GB`, `16GiB` or `900MB`.

    Raises:
        ConfigError: The text is not a positive number with one of these units.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(gb|gib|mb|mib)\s*", text, re.IGNORECASE)
    if match is None or float(match[1]) == 0:
        raise ConfigError(
            f"memory = {text!r}; allowed: a number with GB, GiB, MB or MiB, such as 24GB"
        )
    return float(match[1]) * _UNITS[match[2].lower()]


def plan_of(
    preset: Preset,
    *,
    precision: str,
    t5: T5,
    width_px: int,
    height_px: int,
    transformer: str | None = None,
    offload: Literal["none", "model"] = "none",
    vae_tiling: bool = False,
) -> MemoryPlan:
    """Return the memory plan of one combination of precision, quantisation and offload.

    Args:
        preset: Preset of the generator.
        precision: Precision of the parts that are not quantised.
        t5: Treatment of the T5 encoder.
        width_px: Width of the largest image.
        height_px: Height of the largest image.
        transformer: Precision of the transformer; None: `precision`.
        offload: Offload to main memory.
        vae_tiling: Whether the autoencoder works in tiles.
    """
    parts = {}
    for name, billions in preset.parameters.items():
        stored = precision
        if name == "transformer":
            stored = transformer or precision
        if name == "text_encoder_3":
            if t5 == "drop":
                continue
            stored = precision if t5 == "keep" else t5
        bytes_each = BYTES[stored]
        if name == "text_encoder_3":
            bytes_each += _T5_NOT_QUANTISED * (BYTES[precision] - BYTES[stored])
        parts[name] = billions * bytes_each
    megapixels = width_px * height_px / 1e6
    working = _WORKING_GB_PER_MP * megapixels * BYTES[precision] / 2
    if vae_tiling:
        working = min(working, _TILED_WORKING_GB * BYTES[precision] / 2)
    on_device = max(parts.values()) if offload == "model" else sum(parts.values())
    return MemoryPlan(
        precision=precision,
        t5=t5,
        transformer=transformer or precision,
        offload=offload,
        vae_tiling=vae_tiling,
        component_gb={name: round(gb, 3) for name, gb in parts.items()},
        device_gb=on_device + working,
        host_gb=sum(parts.values()) if offload == "model" else 0.0,
    )


def best_plan(
    preset: Preset,
    memory_bytes: float,
    *,
    width_px: int,
    height_px: int,
    precision: str = "bf16",
    quantisers: Sequence[str] = ("int8", "nf4"),
    takes_turns: bool = True,
    t5: T5 | None = None,
) -> MemoryPlan:
    """Return the first plan that fits, from full precision to the smallest.

    Args:
        preset: Preset of the generator.
        memory_bytes: Memory of the device.
        width_px: Width of the largest image.
        height_px: Height of the largest image.
        precision: Precision of the parts that are not quantised.
        quantisers: Quantised formats that the device supports, `int8` before `nf4`.
        takes_turns: Whether parts can be offloaded; False on a CPU, which has one memory.
        t5: Treatment of the T5 encoder; None: chosen by the plan.

    Raises:
        SynthError: The smallest plan does not fit either.
    """
    # T5 is dropped last: long prompts and text in images depend on it; offload only costs time.
    ways: list[dict[str, Any]] = [
        {"t5": "keep"},
        *({"t5": bits} for bits in quantisers),
        *({"t5": bits, "vae_tiling": True} for bits in quantisers),
        {"t5": "keep", "offload": "model"},
        *(
            {"t5": bits, "transformer": bits, "vae_tiling": tiling}
            for bits in quantisers
            for tiling in (False, True)
        ),
        {"t5": "drop"},
        {"t5": "drop", "offload": "model", "vae_tiling": True},
        *(
            {"t5": "drop", "transformer": bits, "vae_tiling": True, "offload": offload}
            for offload in ("none", "model")
            for bits in quantisers
        ),
    ]
    if t5 is not None:
        ways = [way | {"t5": t5} for way in ways]
    if not takes_turns:
        ways = [way for way in ways if way.get("offload") != "model"]
    plans = [
        plan_of(preset, precision=precision, width_px=width_px, height_px=height_px, **way)
        for way in ways
    ]
    for plan in plans:
        # A tenth is reserved for the allocator and the driver.
        if plan.device_gb * 1e9 <= 0.9 * memory_bytes:
            return plan
    least = min(plan.device_gb for plan in plans)
    raise SynthError(
        f"{preset.name} at {width_px}x{height_px} px needs at least {least / 0.9:.1f} GB with the "
        f"smallest plan; memory is {memory_bytes / 1e9:.1f} GB. Choose a smaller model or size"
    )
