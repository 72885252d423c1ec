"""What a GPU changes, in one run: agreement with the CPU, rates, lanes, memory, adapters, attacks.

Every question is a process of its own with a limit of time, so that one that fails or hangs leaves
the others their answers. Weights are the embedded ones, or random ones of the true shapes: rates
and memory do not depend on them. What the card can do at most is measured in the same run.

    python benchmarks/on_gpu.py                      # all
    python benchmarks/on_gpu.py --only agreement rates
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent


def agreement(device: str) -> None:
    """Logits of every precision and backend beside fp32 on the CPU; batches; twice the same."""
    import numpy as np
    import torch
    from detector import checkpoint
    from photos import photos_between

    from assay.tasks.detector.inputs.preprocess import preprocess
    from assay.tasks.detector.load import load_on
    from assay.tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint

    photos = photos_between(None, 24)
    with tempfile.TemporaryDirectory() as scratch:
        for model in ("mini", str(checkpoint(Path(scratch, "vit")))):
            found = find_checkpoint(model)
            profile = chosen_profile(None, found)
            pixels = np.stack([preprocess(raw, profile) for raw in photos])
            cpu = load_on(found, profile, "torch", "fp32", device="cpu")
            true_logits, true_embeddings = cpu.forward(pixels)
            name = "mini" if model == "mini" else "ViT-S/16 at 384 px, random weights"
            print(f"{name}: logits {true_logits.min():.3f} to {true_logits.max():.3f}")
            for precision in ("fp32", "bf16", "fp16"):
                for backend in ("torch", "torch-compile") if device == "cuda" else ("torch",):
                    detector = load_on(found, profile, backend, precision, device=device)  # type: ignore[arg-type]
                    started_s = time.perf_counter()
                    logits, embeddings = detector.forward(pixels)
                    first_s = time.perf_counter() - started_s
                    again, _ = detector.forward(pixels)
                    alone = np.array([detector.forward(one[None])[0][0] for one in pixels])
                    seven = np.concatenate(
                        [detector.forward(pixels[i : i + 7])[0] for i in range(0, len(pixels), 7)]
                    )
                    print(
                        f"  {precision} {backend:13}: from the CPU's fp32 "
                        f"{np.abs(logits - true_logits).max():.2e}, embeddings "
                        f"{np.abs(embeddings - true_embeddings).max():.2e}; twice the same "
                        f"{bool((logits == again).all())}; "
                        f"alone {np.abs(alone - logits).max():.2e}, "
                        f"by seven {np.abs(seven - logits).max():.2e}; first pass {first_s:.1f} s",
                        flush=True,
                    )
                    del detector
                    torch.cuda.empty_cache() if device == "cuda" else None


def rates(device: str) -> None:
    """Images per second of the network alone: resident pixels, pixels in host memory, the limit."""
    import numpy as np
    import torch
    from detector import checkpoint, gflop_per_image

    from assay.tasks.detector.load import load_detector
    from assay.tasks.detector.streaming import bare_forward

    with tempfile.TemporaryDirectory() as scratch:
        folder = str(checkpoint(Path(scratch, "vit")))
        side = 8192 if device == "cuda" else 1024
        for precision in ("fp32", "bf16", "fp16"):
            dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[
                precision
            ]
            if device == "cpu" and precision == "fp16":
                continue
            a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
            tflops = 2 * side**3 / timed(lambda a=a, b=b: a @ b, device, 10) / 1e12
            limit = tflops * 1e3 / gflop_per_image()
            print(f"{precision}: products {tflops:.0f} TFLOP/s: at most {limit:.0f} images/s")
            for backend in ("torch", "torch-compile") if device == "cuda" else ("torch",):
                detector = load_detector(
                    folder, device=device, precision=precision, backend=backend, force_drift=True
                )
                for batch in (16, 64, 256) if device == "cuda" else (2,):
                    detector.batch_images = detector.runner.batch_images = batch
                    pixels = np.random.default_rng(0).standard_normal(
                        (batch, 3, 384, 384), dtype=np.float32
                    )
                    whole = batch / timed(lambda d=detector, p=pixels: d.forward(p), device, 10)
                    resident = batch / timed(passes(detector, pixels, device), device, 10)
                    bare = bare_forward(detector, 8 * batch)
                    print(
                        f"  {backend:13} batch {batch:3}: {resident:6.0f} images/s on the device "
                        f"({resident / limit:.2f} of the limit), {whole:6.0f} with upload, "
                        f"{bare:6.0f} as scoring streams them",
                        flush=True,
                    )


def passes(detector: Any, pixels: Any, device: str) -> Callable[[], object]:
    """Return one pass over pixels that lie on the device already."""
    import torch

    from assay.tasks.detector.backends.pytorch import number_format

    with torch.inference_mode():  # compiled code is kept apart for tensors made otherwise
        there = torch.from_numpy(pixels).to(device)
    forward = detector.runner.module if detector.runner._pass is None else detector.runner._pass

    def work() -> object:
        with (
            torch.inference_mode(),
            number_format(detector.runner.torch_device, detector.runner.precision),
        ):
            return forward(there)

    return work


def files(device: str, *, n: int, folder: Path | None) -> None:
    """Images per second from files to scores, beside what users would pick instead."""
    import timm
    from detector import checkpoint, timm_loop
    from photos import photos_between, write_photos
    from transformers import pipeline

    from assay.data.machine import n_cores
    from assay.flows.request import Request
    from assay.flows.run import run
    from assay.tasks.detector.load import load_detector
    from assay.tasks.detector.streaming import score_stream

    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        distinct = photos_between(folder, min(n, 400))
        photos = write_photos(here / "photos", distinct)
        paths = sorted(str(path) for path in photos.rglob("*.jpg"))
        n_mb = sum(map(len, distinct)) / 1e6
        print(f"{len(paths)} photos, {n_mb:.0f} MB, {n_cores()} cores")
        model = str(checkpoint(here / "vit"))
        raw = [(path, Path(path).read_bytes()) for path in paths]

        def tell(name: str, work: Callable[[int], object]) -> None:
            work(-1)
            took = []
            for index in range(3):
                started_s = time.perf_counter()
                work(index)
                took.append(len(paths) / (time.perf_counter() - started_s))
            print(
                f"  {name:44} {statistics.median(took):7.1f} images/s "
                f"({min(took):.1f}-{max(took):.1f})",
                flush=True,
            )

        for precision in ("fp32", "bf16"):
            detector = load_detector(model, device=device, precision=precision, force_drift=True)
            tell(
                f"assay, bytes to logits, {precision}",
                lambda _, d=detector: list(score_stream(d, raw)),
            )

        def moderate(precision: str, index: int) -> None:
            request = Request(
                lake=str(here / f"lake-{precision}-{index}"),
                sources=(str(photos),),
                detector=model,
                device=device,
                precision=precision,
            )
            result = run(request)
            assert result.scored == len(paths), result

        tell("assay moderate, files to report, fp32", lambda i: moderate("fp32", i))

        def ingest(index: int) -> None:
            run(
                Request(lake=str(here / f"ingest-{index}"), sources=(str(photos),), detector=model),
                flow="ingest",
            )

        tell("assay ingest alone, no network", ingest)
        plain = timm.create_model("vit_small_patch16_384", pretrained=False, num_classes=1)
        plain = plain.eval().to(device)

        tell(
            "timm, torchvision, DataLoader, a worker a core",
            lambda _: timm_loop(plain, paths, device=device, batch=64, n_workers=n_cores()),
        )
        classify = pipeline("image-classification", model=model, device=device)
        tell(
            "transformers.pipeline, batch 64",
            lambda _: list(classify(paths, batch_size=64, function_to_apply="sigmoid")),
        )


def lanes(device: str, *, n: int) -> None:
    """Print what a batch costs on its way to a device, and the rates of one device and of all.

    The way of a batch: gathered in a new array (and on CUDA copied to pinned memory), or in the
    buffer that a lane keeps. The rates need two devices or more.
    """
    import numpy as np
    import torch

    from assay.tasks.detector.backends.devices import choose_devices
    from assay.tasks.detector.backends.upload_buffer import UploadBuffer

    batch = min(64, n)
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((3, 384, 384), dtype=np.float32) for _ in range(batch)]
    buffer = UploadBuffer(is_pinned=device == "cuda")

    def fresh() -> object:
        pixels = torch.from_numpy(np.stack(images))
        return (pixels.pin_memory() if device == "cuda" else pixels).to(device)

    print(f"a batch of {batch} images, {sum(one.nbytes for one in images) / 1e6:.0f} MB")
    ways = {"new array": fresh, "kept buffer": lambda: buffer.filled(images, batch).to(device)}
    for name, work in ways.items():
        seconds = timed(work, device, 20)
        cpu_s, n_faults, n_bytes = spent(work, 20)
        print(
            f"  {name:12} {seconds * 1e3:7.2f} ms, {cpu_s * 1e3:7.2f} ms of the CPU, "
            f"{n_faults:7.0f} page faults, {n_bytes / 1e6:6.1f} MB allocated",
            flush=True,
        )
    devices = choose_devices(device)
    if len(devices) < 2:
        print(f"  one device, {devices[0]}: no lanes to compare")
        return
    from detector import checkpoint

    from assay.tasks.detector.load import load_detector
    from assay.tasks.detector.streaming import bare_forward

    with tempfile.TemporaryDirectory() as scratch:
        folder = str(checkpoint(Path(scratch, "vit")))
        for precision in ("fp32", "bf16"):
            for name in (str(devices[0]), device):
                detector = load_detector(folder, device=name, precision=precision, force_drift=True)
                n_lanes = detector.runner.n_lanes
                bare_forward(detector, 4 * batch * n_lanes)
                rate = statistics.median(
                    bare_forward(detector, 16 * batch * n_lanes) for _ in range(3)
                )
                print(f"  {precision} on {n_lanes} devices: {rate:6.0f} images/s", flush=True)


def spent(work: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Return CPU seconds, page faults and bytes that Python allocates, each of one round.

    The bytes are the peak over what was allocated before, of a round of its own.
    """
    import resource
    import tracemalloc

    before, faults = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        work()
    cpu_s = (time.process_time() - before) / rounds
    n_faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / rounds
    tracemalloc.start()
    work()
    n_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return cpu_s, n_faults, n_bytes


def attacks(device: str) -> None:
    """Ten steps of APGD on one photo, on the CPU and on the device."""
    import io

    import numpy as np
    from photos import photos_between
    from PIL import Image

    from assay.synth.attacks.pixel import AttackSettings, attack, pixels_of, rgb_of
    from assay.tasks.detector.differentiable import differentiable
    from assay.tasks.detector.load import load_detector

    (raw,) = photos_between(None, 1)
    rgb = np.array(Image.open(io.BytesIO(raw)).convert("RGB").resize((512, 384)))
    made = {}
    for where in ("cpu", device):
        logits = differentiable(load_detector("mini", device=where, backend="torch"))
        settings = AttackSettings(steps=10)
        before = float(logits(pixels_of(rgb))[0])
        attack(pixels_of(rgb), logits, settings)
        seconds = timed(lambda f=logits, s=settings: attack(pixels_of(rgb), f, s), where, 3)
        made[where] = attack(pixels_of(rgb), logits, settings)
        after = float(logits(made[where])[0])
        print(f"  {where:5}: logit {before:.3f} to {after:.3f}, {seconds:.2f} s an image")
    levels = np.abs(rgb_of(made["cpu"]).astype(int) - rgb_of(made[device])).mean()
    print(f"  mean difference of the attacked images: {levels:.3f} levels")


def timed(work: Callable[[], object], device: str, rounds: int) -> float:
    """Return the median seconds of some rounds, after two that do not count."""
    import torch

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    took = []
    for index in range(rounds + 2):
        wait()
        started_s = time.perf_counter()
        work()
        wait()
        if index >= 2:
            took.append(time.perf_counter() - started_s)
    return statistics.median(took)


def commands(arguments: argparse.Namespace) -> dict[str, tuple[list[str], float]]:
    """Return the command and the limit in seconds of every question."""
    python, device = sys.executable, arguments.device
    own = [python, __file__, "--device", device, "--n", str(arguments.n), "--question"]
    sizes = [python, str(HERE / "true_sizes.py"), "--device", device]
    if arguments.scratch:
        sizes += ["--scratch", arguments.scratch]
    made = [python, str(ROOT / "tests/tasks/made_on_device.py"), device]
    medium = [*sizes, "--model", "sd3.5-medium", "--memory", "16GB", "12GB", "--t5", "int8", "nf4"]
    large = [*sizes, "--model", "sd3.5-large", "--memory", "24GB", "16GB", "--steps", "8"]
    return {
        "agreement": ([*own, "agreement"], 120),
        "made": ([*made, tempfile.mkdtemp()], 150),
        "medium": ([*medium, "--train-steps", "6"], 300),
        "rates": ([*own, "rates"], 240),
        "files": ([*own, "files"], 240),
        "lanes": ([*own, "lanes"], 180),
        "attacks": ([*own, "attacks"], 60),
        "large": (large, 240),
        "sizes": (
            [python, str(HERE / "synth_sizes.py"), "--device", device, "--rounds", "1"],
            180,
        ),
    }


def main() -> None:
    """Print what every question gave, as it comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", nargs="+", help="names of questions")
    parser.add_argument("--n", type=int, default=400, help="photos")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--scratch", help="folder with room for 30 GB, best in memory")
    parser.add_argument("--question", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    own = {"agreement": agreement, "rates": rates, "attacks": attacks}
    if arguments.question == "lanes":
        lanes(arguments.device, n=arguments.n)
        return
    if arguments.question == "files":
        files(arguments.device, n=arguments.n, folder=arguments.photos)
        return
    if arguments.question:
        own[arguments.question](arguments.device)
        return
    paths = [str(HERE), *(str(ROOT / "tests" / one) for one in ("data", "synth", "tasks", "flows"))]
    around = os.environ | {
        "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
    }
    took: dict[str, float] = {}
    for name, (command, limit_s) in commands(arguments).items():
        if arguments.only and name not in arguments.only:
            continue
        print(f"== {name}", flush=True)
        started_s = time.perf_counter()
        try:
            code: object = subprocess.run(
                command, env=around, timeout=limit_s, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = f"stopped after {limit_s:.0f} s"
        took[name] = round(time.perf_counter() - started_s, 1)
        print(f"== {name}: {code}, {took[name]} s", flush=True)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
