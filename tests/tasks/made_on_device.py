"""A program that makes images on the CPU and on another device and prints the differences.

python made_on_device.py pretend FOLDER      a simulated device, see `pretend_device`
python made_on_device.py cuda FOLDER         a real one
"""

import dataclasses
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tiny_models
import tiny_sd3
import torch
from PIL import Image

from assay.data.store.lake import Lake
from assay.flows.request import Request
from assay.flows.run import run
from assay.synth.attacks.latent import latent_attack
from assay.synth.attacks.pixel import AttackSettings, attack, pixels_of, rgb_of
from assay.synth.autoencoder import load_autoencoder
from assay.synth.generators import load
from assay.synth.generators.load import LoadSettings, load_generator, plan_for
from assay.synth.generators.protocol import ImageRequest
from assay.synth.reconstruct import encoded_as
from assay.synth.training.lora import LoraSettings, train_lora
from assay.tasks.detector.backends import devices
from assay.tasks.detector.backends.network import build_network
from assay.tasks.detector.backends.pytorch import TorchBackend
from assay.tasks.detector.differentiable import differentiable
from assay.tasks.detector.load import detector_on, load_detector
from assay.tasks.detector.streaming import score_stream
from assay.tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint

PARENT = np.random.default_rng(3).integers(0, 256, (50, 71, 3), dtype=np.uint8)
_TOLD: dict[str, Any] = {"prompt": "a dark blue sky", "seed": 7, "steps": 4}
ASKS = {
    "text": ImageRequest(**_TOLD, width_px=64, height_px=48),
    "image-to-image": ImageRequest(**_TOLD, parent_rgb=PARENT, strength=0.9),
    "inpaint": ImageRequest(**_TOLD, parent_rgb=PARENT, mask_hw=PARENT[..., 0] > 127, strength=1.0),
    "control": ImageRequest(
        **_TOLD, width_px=64, height_px=48, control_rgb=np.resize(PARENT, (48, 64, 3))
    ),
}


def differences(
    folder: Path,
    asks: dict[str, ImageRequest],
    settings: LoadSettings,
    *,
    device: str,
    **plan: Any,
) -> dict[str, Any]:
    """Return the mean absolute difference of pixels per job in levels, and the parts' devices."""
    there = load_generator(str(folder), dataclasses.replace(settings, device="cpu"))
    chosen = plan_for(there.preset, settings, device=device)
    here = load_generator(
        str(folder),
        dataclasses.replace(settings, device=device),
        plan=dataclasses.replace(chosen, **plan),
    )
    told: dict[str, Any] = {
        name: float(np.abs(there.make(ask).astype(float) - here.make(ask)).mean())
        for name, ask in asks.items()
    }
    modules = [m for m in here.pipeline.components.values() if isinstance(m, torch.nn.Module)]
    told["at rest on"] = sorted({str(next(module.parameters()).device) for module in modules})
    return told


def through_networks(folder: Path, vae: Path, device: str) -> dict[str, float]:
    """Return the differences of reconstructions, attacks and scores; scores as logits."""
    checkpoint = find_checkpoint(str(folder))
    settings = AttackSettings(steps=3)
    names = ("aligned", "attack", "latent-attack", "score")
    made: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for place in ("cpu", device):
        runner = TorchBackend(
            build_network(checkpoint.raw_weights, checkpoint.architecture, checkpoint.name),
            device=torch.device(place),
            precision="fp32",
            compiled=False,
        )
        detector = detector_on(checkpoint, chosen_profile(None, checkpoint), runner)
        logits = differentiable(detector)
        autoencoder = load_autoencoder(vae, device=place)
        made["aligned"].append(autoencoder.reconstruct(PARENT))
        made["attack"].append(rgb_of(attack(pixels_of(PARENT), logits, settings)))
        made["latent-attack"].append(
            latent_attack(PARENT, autoencoder, logits, settings).rgb_u8_hwc
        )
        png = encoded_as(Image.fromarray(PARENT), {"format": "PNG"})
        scored = score_stream(detector, [("a", png), ("b", png)])
        made["score"].append(np.array([one.logit for part in scored for one in part]))
    return {
        name: float(np.abs(one.astype(float) - other).mean()) for name, (one, other) in made.items()
    }


def losses(base: Path, images: Path, device: str) -> tuple[float, ...]:
    """Return the losses of a few steps of adapter training."""
    settings = LoraSettings(
        images=images,
        base=str(base),
        out=images.parent / f"trained-on-{device}",
        steps=4,
        size_px=32,
        batch=2,
        learning_rate=2e-2,
        device=device,
        precision="fp32",
    )
    return train_lora(settings).losses


def all_lanes(folder: Path, detector: Path) -> dict[str, Any]:
    """Score images on the CPU and on all devices at once; return what differs and who worked."""
    rng = np.random.default_rng(5)
    images = [Image.fromarray(rng.integers(0, 256, (70, 90, 3), np.uint8)) for _ in range(21)]
    items = [(str(i), encoded_as(image, {"format": "PNG"})) for i, image in enumerate(images)]
    items[4] = ("4", b"no image")
    here, there = (load_detector(str(detector), device=d, backend="torch") for d in ("cpu", "auto"))
    there.batch_images = 2
    lanes = getattr(there.runner, "_lanes", [there.runner])
    together = threading.Barrier(len(lanes))
    for lane in lanes:
        lane.module.register_forward_pre_hook(_waits_once(together))
    ours, theirs = (
        [one for part in score_stream(each, items) for one in part] for each in (here, there)
    )
    apart = [
        abs(a.logit - b.logit) for a, b in zip(ours, theirs, strict=True) if a.logit and b.logit
    ]
    (folder / "seen").mkdir()
    for image_id, raw in items:
        (folder / "seen" / f"{image_id}.png").write_bytes(raw)
    scores = {}
    for device in ("cpu", "auto"):
        request = Request(
            lake=str(folder / f"lake-{device}"),
            sources=(str(folder / "seen"),),
            detector=str(detector),
            device=device,
            backend="torch",
        )
        run(request)
        rows = Lake(request.lake).scan("scores").drop_nulls("logit").collect()
        scores[device] = dict(zip(rows["image_id"], rows["logit"], strict=True))
        scores[f"{device} made by"] = rows["backend"].unique().to_list()
    return {
        "devices": sorted({str(next(lane.module.parameters()).device) for lane in lanes}),
        "in order": [one.image_id for one in theirs] == [image_id for image_id, _ in items],
        "scored": len(apart),
        "apart": max(apart),
        "same key": here.key == there.key,
        "made by": scores["auto made by"],
        "same images": scores["cpu"].keys() == scores["auto"].keys(),
        "moderated": len(scores["auto"]),
        "apart in the lake": max(abs(scores["cpu"][i] - scores["auto"][i]) for i in scores["cpu"]),
    }


def _waits_once(together: threading.Barrier) -> Callable[..., None]:
    """Hold the first pass of a lane until every lane has one: they compute at once, or it fails."""
    first = [True]

    def hook(*_: object) -> None:
        if first.pop() if first else False:
            together.wait(60)

    return hook


def _is_refused(work: Callable[[], object]) -> bool:
    try:
        work()
    except (RuntimeError, TypeError):
        return True
    return False


def _registered(device: str) -> object:
    """Register a pretended device, and return the object that has to live as long as it is used."""
    if device != "pretend":
        return None
    import pretend_device

    kept = pretend_device.register()
    load.ACCELERATORS = (*load.ACCELERATORS, pretend_device.NAME)
    devices._device_counts = lambda: {device: pretend_device.N_DEVICES, "cpu": 1}
    devices._may_have_accelerator = lambda: True
    return kept


def main(device: str, folder: Path) -> None:
    """Run with models that are made in the folder."""
    model = tiny_sd3.tiny_folder_with_t5(folder / "three-encoders")
    net = tiny_sd3.tiny_controlnet(folder / "net")
    layers = {"transformer_blocks.0.attn.to_q": (32, 32)}
    adapter = tiny_sd3.adapter_file(folder / "adapter", shapes=layers)
    kept = _registered(device)
    plain = {name: ask for name, ask in ASKS.items() if name != "control"}
    fp32 = LoadSettings(precision="fp32")
    guided = dataclasses.replace(fp32, controlnet=str(net))
    adapted = dataclasses.replace(fp32, adapters=(adapter,))
    one = {"text": ASKS["text"]}

    def made(asks: dict[str, ImageRequest], settings: LoadSettings, **plan: Any) -> dict[str, Any]:
        return differences(model, asks, settings, device=device, **plan)

    told: dict[str, Any] = {
        "device": device,
        "walled off": _is_refused(lambda: torch.ones(2, device=device) + torch.ones(2))
        and _is_refused(lambda: np.asarray(torch.ones(2, device=device))),
        "whole": made(ASKS, guided),
        "in turns": made(ASKS, guided, offload="model"),
        "adapted": made(one, adapted, offload="model"),
        "bf16": made(plain, LoadSettings(precision="auto"), offload="model"),
        "fp16": made(plain, LoadSettings(precision="fp16"), offload="model"),
    }
    detector = tiny_models.write_timm(folder / "detector", tiny_models.timm_tensors())
    told["through networks"] = through_networks(detector, model / "vae", device)
    told["lanes"] = all_lanes(folder, detector)
    (folder / "photos").mkdir()
    Image.fromarray(PARENT).save(folder / "photos" / "a.png")
    told["losses"] = {place: losses(model, folder / "photos", place) for place in ("cpu", device)}
    print(json.dumps(told))
    del kept


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
