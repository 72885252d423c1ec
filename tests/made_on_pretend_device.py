"""Run as a program: makes pictures on the CPU and on a pretended device, prints how they differ."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pretend_device
import tiny_sd3
import torch

from assay.synth import loading
from assay.synth.generator import Ask
from assay.synth.loading import LoadSettings, load_generator

PARENT = np.random.default_rng(3).integers(0, 256, (50, 71, 3), dtype=np.uint8)
_TOLD: dict[str, Any] = {"prompt": "a dark blue sky", "seed": 7, "steps": 4}
ASKS = {
    "text": Ask(**_TOLD, width_px=64, height_px=48),
    "image-to-image": Ask(**_TOLD, parent_rgb=PARENT, strength=0.9),
    "inpaint": Ask(**_TOLD, parent_rgb=PARENT, mask_hw=PARENT[..., 0] > 127, strength=1.0),
    "control": Ask(**_TOLD, width_px=64, height_px=48, control_rgb=np.resize(PARENT, (48, 64, 3))),
}


def differences(
    folder: Path, asks: dict[str, Ask], settings: LoadSettings, **plan: Any
) -> dict[str, Any]:
    """Mean absolute difference of the pixels by ask, in levels, and where the parts rest."""
    there = load_generator(str(folder), dataclasses.replace(settings, device="cpu"))
    choose = loading.plan_for
    loading.plan_for = lambda *a, **k: dataclasses.replace(choose(*a, **k), **plan)
    try:
        here = load_generator(
            str(folder), dataclasses.replace(settings, device=pretend_device.NAME)
        )
    finally:
        loading.plan_for = choose
    told: dict[str, Any] = {
        name: float(np.abs(there.make(ask).astype(float) - here.make(ask)).mean())
        for name, ask in asks.items()
    }
    modules = [m for m in here.pipeline.components.values() if isinstance(m, torch.nn.Module)]
    told["at rest on"] = sorted({str(next(module.parameters()).device) for module in modules})
    return told


def _is_refused(work: Callable[[], object]) -> bool:
    try:
        work()
    except (RuntimeError, TypeError):
        return True
    return False


def main(folder: Path) -> None:
    """Models are made in the folder."""
    model = tiny_sd3.tiny_folder_with_t5(folder / "three-encoders")
    net = tiny_sd3.tiny_controlnet(folder / "net")
    layers = {"transformer_blocks.0.attn.to_q": (32, 32)}
    adapter = tiny_sd3.adapter_file(folder / "adapter", shapes=layers)
    kept = pretend_device.register()
    loading.ACCELERATORS = (*loading.ACCELERATORS, pretend_device.NAME)
    plain = {name: ask for name, ask in ASKS.items() if name != "control"}
    fp32 = LoadSettings(precision="fp32")
    guided = dataclasses.replace(fp32, controlnet=str(net))
    adapted = dataclasses.replace(fp32, adapters=(adapter,))
    told: dict[str, Any] = {
        "walled off": _is_refused(lambda: torch.ones(2, device=pretend_device.NAME) + torch.ones(2))
        and _is_refused(lambda: np.asarray(torch.ones(2, device=pretend_device.NAME))),
        "whole": differences(model, ASKS, guided),
        "in turns": differences(model, ASKS, guided, offload="model"),
        "adapted": differences(model, {"text": ASKS["text"]}, adapted, offload="model"),
        "bf16": differences(model, plain, LoadSettings(precision="auto"), offload="model"),
        "fp16": differences(model, plain, LoadSettings(precision="fp16"), offload="model"),
    }
    print(json.dumps(told))
    del kept


if __name__ == "__main__":
    main(Path(sys.argv[1]))
