"""Every way to run the detector on one machine, side by side, from the bare network to files.

The same ViT-S/16 at 384 px (random weights: the time does not depend on them), the same files,
one process, rounds in turn; imports and loading are left out (`fixed_cost.py` has them). Prints
a table and, with `--picture`, draws it.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch  # before assay, so that its threads wait as they do for those who use it alone
from bars import Bar, draw_bars
from photos import photos_between, write_photos
from PIL import Image
from tqdm import tqdm
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, pipeline

from assay.data.machine import n_cores
from assay.flows.request import Request
from assay.flows.run import run
from assay.tasks.detector.backends.openvino_graph import openvino_core, quiet_openvino
from assay.tasks.detector.detector import Detector
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.streaming import bare_forward

ASSAY = "assay moderate, files to report"
PIPELINE = "transformers.pipeline, batch 1"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to score the photos; `work` takes the number of the round."""

    name: str
    kind: str  # "network", "files" or "limit"
    work: Callable[[int], object]
    prepare: Callable[[int], object] = lambda _: None
    """Done before each round, outside the time."""


def checkpoint(folder: Path) -> Path:
    """Write a ViT-S/16-384 with one logit, in the transformers layout, and its image processor."""
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


def gflop_per_image(*, tokens: int = 577, width: int = 384, depth: int = 12) -> float:
    """Of the matrix products that one logit needs, two operations a multiply-add.

    The last block is needed for the class token alone, but for its keys and values.
    """
    block = tokens * (24 * width**2 + 4 * tokens * width)
    last = tokens * (4 * width**2 + 4 * width) + 20 * width**2
    patches = 2 * (tokens - 1) * 768 * width
    return ((depth - 1) * block + last + patches) / 1e9


def matmul_gflops(seconds: float = 1.0, *, torch_alone: bool = False) -> float:
    """Single-precision matrix products per second on all cores: the best of libraries and shapes.

    PyTorch's and OpenVINO's, since neither is the faster one on every processor; one product on
    all threads, and one on each core at once, as separate streams run them.
    """
    shapes = [(577, 384, 1536), (1154, 384, 1152), (1024, 1024, 1024), (2048, 2048, 2048)]
    products = (_torch_product,) if torch_alone else (_torch_product, _openvino_product)
    best = 0.0
    for shape in shapes:
        for product in products:
            for streams in {1, n_cores()}:
                best = max(best, _products_per_s(product, shape, seconds, streams=streams))
    return best


def _torch_product(shape: tuple[int, int, int], n_threads: int) -> Callable[[], object]:
    torch.set_num_threads(n_threads)
    m, k, n = shape
    a, b, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
    return lambda: torch.mm(a, b, out=out)


def _openvino_product(shape: tuple[int, int, int], n_threads: int) -> Callable[[], object]:
    openvino = quiet_openvino()
    op, (m, k, n) = openvino.opset14, shape
    weights = np.random.default_rng(0).standard_normal((k, n), dtype=np.float32)
    left = op.parameter([m, k], np.float32)
    model = openvino.Model([op.matmul(left, weights, False, False)], [left])  # noqa: FBT003
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": n_threads,
        "ENABLE_CPU_PINNING": False,
    }
    request = openvino_core().compile_model(model, "CPU", settings).create_infer_request()
    given = np.random.default_rng(1).standard_normal((m, k), dtype=np.float32)
    return lambda: request.infer([given], share_inputs=True, share_outputs=True)


def _products_per_s(
    make: Callable[[tuple[int, int, int], int], Callable[[], object]],
    shape: tuple[int, int, int],
    seconds: float,
    *,
    streams: int,
) -> float:
    m, k, n = shape
    counts = [0] * streams
    before = torch.get_num_threads()
    ready = threading.Barrier(streams)

    def work(index: int) -> None:
        product = make(shape, n_cores() // streams)
        product()
        ready.wait()
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            product()
            counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.set_num_threads(before)
    return sum(counts) * 2 * m * k * n / seconds / 1e9


def timm_loop(
    model: torch.nn.Module,
    paths: list[str],
    *,
    device: str = "cpu",
    batch: int = 8,
    n_workers: int = 1,
) -> None:
    """Score as a careful user would: timm's model, torchvision's transforms, a DataLoader."""
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    chain = transforms.Compose(
        [
            transforms.Resize(440),
            transforms.CenterCrop(384),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    class Photos(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, index: int) -> torch.Tensor:
            pixels: torch.Tensor = chain(Image.open(paths[index]).convert("RGB"))
            return pixels

    with torch.inference_mode():
        for pixels in DataLoader(Photos(), batch_size=batch, num_workers=n_workers):
            model(pixels.to(device)).sigmoid().tolist()


def one_stream(detector: Detector, n: int) -> None:
    """Batches of eight through the network, one after the other, with all threads."""
    pixels = np.zeros((8, 3, 384, 384), np.float32)
    for _ in range(n // 8):
        detector.forward(pixels)


def main() -> None:
    """Print one table, and draw it on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--n", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="with torch.compile too")
    parser.add_argument("--int8", action="store_true", help="with int8, quantised on these photos")
    parser.add_argument("--only", nargs="+", help="only rows whose name holds one of these words")
    parser.add_argument("--picture", type=Path, help="SVG file to draw")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        photos = photos_between(arguments.photos, arguments.n)
        folder = write_photos(here / "photos", photos)
        paths = sorted(str(path) for path in folder.rglob("*.jpg"))
        print(f"{len(paths)} photos, {sum(map(len, photos)) / 1e6:.1f} MB; {n_cores()} cores")
        contenders = _contenders(here, folder, paths, arguments)
        if arguments.only:
            kept = {ASSAY, PIPELINE}  # what the ratios are against
            kept |= {o.name for o in contenders if any(w in o.name for w in arguments.only)}
            contenders = [one for one in contenders if one.name in kept]
        rates: dict[str, list[float]] = {one.name: [] for one in contenders}
        for one in contenders:
            one.prepare(-1)
            one.work(-1)  # warm
        for index in tqdm(range(arguments.rounds), unit="round", disable=None):
            for one in contenders:
                one.prepare(index)
                rates[one.name].append(len(paths) / _timed(functools.partial(one.work, index)))
        limit = matmul_gflops() / gflop_per_image()
        _tell(contenders, rates, limit)
        if arguments.picture:
            _draw(contenders, rates, limit, arguments.picture)


def _contenders(
    here: Path, folder: Path, paths: list[str], arguments: argparse.Namespace
) -> list[Contender]:
    import timm

    model = str(checkpoint(here / "vit"))
    n = len(paths)
    out: list[Contender] = []

    def bare(name: str, **asked: str) -> None:
        detector = load_detector(model, device="cpu", **asked)
        out.append(
            Contender(name=name, kind="network", work=lambda _, d=detector: bare_forward(d, n))
        )

    def moderate(name: str, **asked: str) -> None:
        def once(index: int) -> None:
            lake = here / f"lake-{len(name)}-{asked.get('precision', '')}-{index}"
            result = run(Request(lake=str(lake), sources=(str(folder),), detector=model, **asked))
            assert result.scored == n, result

        out.append(Contender(name=name, kind="files", work=once))

    def stored(index: int) -> str:
        return str(here / f"stored-{index}")

    def ingest(index: int) -> None:
        run(Request(lake=stored(index), sources=(str(folder),), detector=model), flow="ingest")

    def score(index: int) -> None:
        result = run(Request(lake=stored(index), detector=model), flow="score")
        assert result.scored == n, result

    bare("network alone, OpenVINO fp32, a stream a core", backend="openvino")
    bare("network alone, torch fp32, a stream a core", backend="torch")
    eager = load_detector(model, device="cpu", backend="torch")
    out.append(
        Contender(
            name="network alone, torch fp32, batch 8, one stream",
            kind="network",
            work=lambda _: one_stream(eager, n),
        )
    )
    if arguments.compile:
        bare("network alone, torch.compile fp32, a stream a core", backend="torch-compile")
    moderate(ASSAY)
    out.append(
        Contender(
            name="assay score, stored photos to report", kind="files", work=score, prepare=ingest
        )
    )
    moderate("assay moderate on torch", backend="torch")
    if arguments.int8:
        _quantise(here, folder, model)
        bare("network alone, OpenVINO int8, a stream a core", precision="int8")
        moderate("assay moderate --precision int8", precision="int8")
    classify = pipeline("image-classification", model=model, device="cpu")
    for size in (1, 8):

        def piped(_: int, size: int = size) -> None:
            for _answer in classify(paths, batch_size=size, function_to_apply="sigmoid"):
                pass

        out.append(Contender(name=f"transformers.pipeline, batch {size}", kind="files", work=piped))
    plain = timm.create_model("vit_small_patch16_384", pretrained=False, num_classes=1).eval()
    out.append(
        Contender(
            name="timm, torchvision, DataLoader, batch 8",
            kind="files",
            work=lambda _: timm_loop(plain, paths),
        )
    )
    return out


def _quantise(here: Path, folder: Path, model: str) -> None:
    """Int8 weights from the photos of a lake, in this machine's cache."""
    import subprocess
    import sys

    lake = str(here / "lake-for-int8")
    run(Request(lake=lake, sources=(str(folder),), detector=model), flow="ingest")
    command = [sys.executable, "-m", "assay", "models", "quantise"]
    subprocess.run([*command, "--lake", lake, "--detector", model], check=True)


def _timed(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def _tell(contenders: list[Contender], rates: dict[str, list[float]], limit: float) -> None:
    base, piped = rates[ASSAY], rates[PIPELINE]
    print(f"{'':50} images/s (median, min-max)   assay / this   this / pipeline")
    for one in contenders:
        values = rates[one.name]
        to_assay = statistics.median(a / b for a, b in zip(base, values, strict=True))
        to_pipeline = statistics.median(a / b for a, b in zip(values, piped, strict=True))
        spread = f"{min(values):.2f}-{max(values):.2f}"
        print(
            f"{one.name:50} {statistics.median(values):6.2f} ({spread:>11})"
            f"          {to_assay:6.3f}           {to_pipeline:6.3f}"
        )
    share = statistics.median(base) / limit
    print(f"{'limit: fp32 matrix products of this machine':50} {limit:6.2f}")
    print(f"assay reaches {share:.2f} of the limit ({gflop_per_image():.1f} GFLOP an image)")


def _draw(
    contenders: list[Contender], rates: dict[str, list[float]], limit: float, file: Path
) -> None:
    bars = [
        Bar(
            name=one.name,
            value=statistics.median(rates[one.name]),
            low=min(rates[one.name]),
            high=max(rates[one.name]),
            is_ours=one.name.startswith("assay"),
            is_pale=one.kind == "network",
        )
        for one in contenders
    ]
    file.write_text(
        draw_bars(
            bars,
            title=f"Images per second on {n_cores()} cores, ViT-S/16 at 384 px",
            limit=limit,
            limit_name="fp32 matrix products",
        ),
        encoding="utf-8",
    )
    print(f"drawn: {file}")


if __name__ == "__main__":
    main()
