"""End to end against the bare forward pass and against `transformers.pipeline`.

The same ViT-S/16 at 384 px (random weights: the time does not depend on them), the same files,
one process, rounds in turn. Model loading and imports are left out of all three; `fixed_cost.py`
tells what they cost.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from photos import photos_between, write_photos
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, pipeline

from assay.data.lake import Lake
from assay.flows.request import Request
from assay.flows.run import run
from assay.flows.steps import detector_of
from assay.tasks.detector.detector import Detector
from assay.tasks.score import bare_forward

GFLOP_PER_IMAGE = 31.0


def checkpoint(folder: Path) -> Path:
    """A ViT-S/16-384 with one logit in the transformers layout, and the pipeline's processor."""
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        intermediate_size=1536,
        layer_norm_eps=1e-6,
        image_size=384,
        patch_size=16,
        num_labels=1,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(
        size={"height": 384, "width": 384},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)
    (folder / "detector.toml").write_text('name = "bench"\npositive = "fake"\n')
    return folder


def matmul_gflops() -> float:
    """Single-precision matrix products per second on all cores: the physical limit here."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best_s = min(_timed(lambda: a @ b) for _ in range(20))
    return 2 * 1024**3 / best_s / 1e9


def _timed(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--n", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pipeline-batches", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        photos = photos_between(arguments.photos, arguments.n)
        folder = write_photos(here / "photos", photos)
        paths = sorted(str(path) for path in folder.rglob("*.jpg"))
        model = checkpoint(here / "vit")
        request = Request(lake=str(here / "warm-up"), sources=(str(folder),), detector=str(model))
        detector = detector_of(request)
        classify = pipeline("image-classification", model=str(model), device="cpu")

        def assay_once(index: int) -> None:
            result = run(
                Request(
                    lake=str(here / f"lake-{index}"), sources=(str(folder),), detector=str(model)
                )
            )
            assert result.scored == len(paths), result

        def pipeline_once(batch_size: int) -> None:
            for _ in classify(paths, batch_size=batch_size, function_to_apply="sigmoid"):
                pass

        contenders: dict[str, Callable[[int], object]] = {
            "bare forward, as assay runs it": lambda _: bare_forward(detector, len(paths)),
            "bare forward, batch 8, one stream": lambda _: one_stream(detector, len(paths)),
            "assay moderate, files to report": assay_once,
        }
        for size in arguments.pipeline_batches:
            contenders[f"transformers.pipeline, batch {size}"] = lambda _, size=size: pipeline_once(
                size
            )
        for name in list(contenders)[:2]:
            contenders[name](-1)
        run(request)
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for index in range(arguments.rounds):
            for name, work in contenders.items():
                rates[name].append(len(paths) / _timed(functools.partial(work, index)))
        limit = matmul_gflops() / GFLOP_PER_IMAGE
        n_mb = sum(map(len, photos)) / 1e6
        print(f"{len(paths)} photos, {n_mb:.1f} MB; {torch.get_num_threads()} threads")
        base = rates["assay moderate, files to report"]
        print(f"{'':40} images/s (median, min-max)   assay / this (median of rounds)")
        for name, values in rates.items():
            ratio = statistics.median(a / b for a, b in zip(base, values, strict=True))
            spread = f"{min(values):.2f}-{max(values):.2f}"
            print(f"{name:40} {statistics.median(values):6.2f} ({spread:>11})          {ratio:.3f}")
        print(f"{'matrix-product limit of this machine':40} {limit:6.2f}")
        assert Lake(here / "lake-0").version("scores") is not None


def one_stream(detector: Detector, n: int) -> None:
    """The plain loop: batches of eight through the model with all threads."""
    pixels = torch.zeros(8, 3, 384, 384)
    for _ in range(n // 8):
        detector.forward(pixels)


if __name__ == "__main__":
    main()
