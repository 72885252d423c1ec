"""What a picture costs by each method, warm: medians and spread, in seconds a picture.

Beside it the least that its matrix products take: those of one picture are counted as PyTorch runs
them, and divided by the rate that PyTorch's own products reach on this machine in the same run.
"""

from __future__ import annotations

import argparse
import io
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from detector import matmul_gflops
from photos import photos_between
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from assay.synth.attacks.expectation import FileDraws, through_files
from assay.synth.attacks.latent import latent_attack
from assay.synth.attacks.pixel import AttackSettings, attack
from assay.synth.autoencoder import load_autoencoder
from assay.synth.generators.checkpoints import find_generator
from assay.synth.generators.load import load_generator
from assay.synth.generators.protocol import ImageRequest
from assay.synth.laundering import CONDITIONS
from assay.synth.marking import Mark, SourceType, marked
from assay.synth.reconstruct import aligned_fake
from assay.tasks.detector.differentiable import differentiable
from assay.tasks.detector.load import load_detector


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", default="mini-sd3", help="a name or a diffusers folder")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=384, help="short edge of the photos, px")
    arguments = parser.parse_args()
    (raw_photo,) = photos_between(arguments.photos, 1)
    photo = _reduced(raw_photo, arguments.side)
    generator = load_generator(arguments.generator)
    autoencoder = load_autoencoder(find_generator(arguments.generator).folder / "vae")
    logits = differentiable(load_detector("mini", device="cpu", backend="torch"))
    small = generator.preset.default_px

    def rgb(raw: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(raw)) as image:
            return np.array(image.convert("RGB"))

    def pixels(raw: bytes) -> torch.Tensor:
        return torch.from_numpy(rgb(raw)).permute(2, 0, 1)[None].float() / 255

    ten = AttackSettings(steps=10)
    ways: dict[str, Callable[[bytes], object]] = {
        f"text, {small} px, {generator.preset.steps} steps": lambda _: generator.make(
            ImageRequest(prompt="a dark blue photo")
        ),
        f"image to image, {small} px, half of the steps": lambda raw: generator.make(
            ImageRequest(parent_rgb=rgb(raw)[:small, :small], strength=0.5)
        ),
        "aligned": lambda raw: aligned_fake(raw, autoencoder),
        "aligned, half of the frequencies": lambda raw: aligned_fake(
            raw, autoencoder, dct_blend=0.5
        ),
        "laundering, mean of the 20 conditions": lambda raw: [
            condition.apply(rgb(raw)) for condition in CONDITIONS
        ],
        "attack, APGD, 10 steps": lambda raw: attack(pixels(raw), logits, ten),
        "attack through 4 files, 10 steps": lambda raw: attack(
            pixels(raw), through_files(logits, FileDraws()), ten
        ),
        "attack in latents, 10 steps": lambda raw: latent_attack(
            rgb(raw), autoencoder, logits, ten
        ),
        "mark": lambda raw: marked(raw, Mark(source_type=SourceType.MADE, generator="g")),
    }
    print(
        f"{arguments.generator}, a photo of {arguments.side} px, {torch.get_num_threads()} threads"
    )
    gflops = matmul_gflops(0.5, torch_alone=True)
    print(f"matrix products: PyTorch's {gflops:.0f} GFLOP/s, the best {matmul_gflops(0.5):.0f}")
    print(f"{'':48} s a picture (median, min-max)   products alone   of the time")
    for name, work in ways.items():
        work(photo)
        try:
            with FlopCounterMode(display=False) as counter:
                work(photo)
            least_s = counter.get_total_flops() / gflops / 1e9
        except RuntimeError:  # its hooks do not bear gradients by intermediate tensors
            least_s = 0.0
        took = []
        for _ in range(arguments.rounds):
            started_s = time.perf_counter()
            work(photo)
            took.append(time.perf_counter() - started_s)
        parts = len(CONDITIONS) if name.startswith("laundering") else 1
        low, middle, high = (
            value / parts for value in (min(took), statistics.median(took), max(took))
        )
        share = f"{least_s:14.4f} {least_s / middle:13.2f}" if least_s else ""
        print(f"{name:48} {middle:8.4f} ({low:.4f}-{high:.4f}) {share}")
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory of this process: {peak_gb:.2f} GB")


def _reduced(raw: bytes, side: int) -> bytes:
    with Image.open(io.BytesIO(raw)) as image:
        picture = image.convert("RGB")
    scale = side / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


if __name__ == "__main__":
    main()
