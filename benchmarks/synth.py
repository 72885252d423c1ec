"""What a picture costs by each method, warm: medians and spread, in seconds a picture."""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from photos import photos_between
from PIL import Image

from assay.synth.attacks.expectation import FileDraws, through_files
from assay.synth.attacks.latent import latent_attack
from assay.synth.attacks.pixel import AttackSettings, attack
from assay.synth.autoencoder import load_autoencoder
from assay.synth.checkpoints import find_generator
from assay.synth.generator import Ask
from assay.synth.laundering import CONDITIONS
from assay.synth.marking import Mark, SourceType, marked
from assay.synth.reconstruct import aligned_fake
from assay.synth.sd35 import load_generator
from assay.tasks.detector.differentiable import differentiable
from assay.tasks.detector.load import load_detector


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", required=True, help="a diffusers folder")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=384, help="short edge of the photos, px")
    arguments = parser.parse_args()
    photos = [_reduced(raw, arguments.side) for raw in photos_between(arguments.photos, 6)]
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
            Ask(prompt="a dark blue photo")
        ),
        f"image to image, {small} px, half of the steps": lambda raw: generator.make(
            Ask(parent_rgb=rgb(raw)[:small, :small], strength=0.5)
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
        f"{arguments.generator}, photos of {arguments.side} px, {torch.get_num_threads()} threads"
    )
    print(f"{'':48} s a picture (median, min-max)")
    for name, work in ways.items():
        work(photos[0])
        took = []
        for index in range(arguments.rounds):
            started_s = time.perf_counter()
            work(photos[index % len(photos)])
            took.append(time.perf_counter() - started_s)
        parts = len(CONDITIONS) if name.startswith("laundering") else 1
        low, middle, high = (
            value / parts for value in (min(took), statistics.median(took), max(took))
        )
        print(f"{name:48} {middle:8.4f} ({low:.4f}-{high:.4f})")


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
