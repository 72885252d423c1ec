"""Cost per image of a first run and of one over known images: time, memory, bytes and commits.

The images are small and the detector is a stand-in of almost no cost, so that what is measured is
everything else: listing, reading, checks, storage, tables, decisions and the report.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from child import peak_mb
from numpy.typing import NDArray
from PIL import Image

import assay
from assay.flows.request import Request
from assay.flows.run import run
from assay.tasks.detector.weights.detector_card import Card, Square


class StandIn:
    """A detector of almost no cost.

    Args:
        n_dimensions: Length of the embeddings, at most 3,072.
    """

    card = Card(
        name="stand-in",
        version="1",
        licence="Apache-2.0",
        limits="None: its scores mean nothing.",
        input=Square(size_px=32),
    )

    def __init__(self, n_dimensions: int) -> None:
        self._n_dimensions = n_dimensions

    def embed(self, rgb_u8_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return pixels as embeddings."""
        return rgb_u8_nhwc.reshape(len(rgb_u8_nhwc), -1)[:, : self._n_dimensions].astype(np.float32)

    def score(self, rgb_u8_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the brightness as logits."""
        return rgb_u8_nhwc.mean(axis=(1, 2, 3), dtype=np.float64).astype(np.float32) / 64 - 2


def main() -> None:
    """Print two lines per size of the batch, each size into a fresh lake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 50_000, 200_000])
    parser.add_argument("--one", nargs=2, metavar=("SOURCE", "LAKE"), help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help="Folder for images and lakes.")
    arguments = parser.parse_args()
    if arguments.one:
        one_run(*arguments.one)
        return
    print(
        f"{'run':>5} {'images':>9} {'images/s':>9} {'CPU ms':>8} {'peak MB':>8} {'commits':>8}"
        f" {'files':>7} {'read kB':>8} {'written kB':>10} {'tables kB':>10}"
        "   per image where ms or kB"
    )
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        here = Path(scratch)
        for size in arguments.sizes:
            source = here / f"{size}.tar"
            n_bytes = write_images(source, size)
            lake = here / f"lake-{size}"
            line("first", size, n_bytes, source, lake)
            line("known", size, n_bytes, source, lake)


def one_run(source: str, lake: str) -> None:
    """Run in this process, and print its figures as JSON."""
    name = assay.offer_detector(StandIn(n_dimensions=192))
    started_s, cpu_s = time.perf_counter(), time.process_time()
    result = run(Request(sources=(source,), lake=lake, detector=name))
    figures = {
        "seconds": time.perf_counter() - started_s,
        "cpu_s": time.process_time() - cpu_s,
        "scored": result.scored,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(figures))


def line(label: str, size: int, n_bytes: int, source: Path, lake: Path) -> None:
    """Run once and print its figures; commits and files are those of the lake after it."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--one", str(source), str(lake)],
        stdout=subprocess.PIPE,
        text=True,
    )
    moved = (0, 0)
    while child.poll() is None:
        moved = io_bytes(child.pid) or moved
        time.sleep(0.05)
    assert child.stdout is not None
    told = json.loads(child.stdout.read().splitlines()[-1])
    logs = [path for path in (lake / "tables").rglob("*.json") if path.parent.name == "_delta_log"]
    tables = [path for path in (lake / "tables").rglob("*") if path.is_file()]
    live = sum(path.stat().st_size for path in tables)
    print(
        f"{label:>5} {size:9,} {size / told['seconds']:9.0f} {told['cpu_s'] / size * 1000:8.2f}"
        f" {told['peak_mb']:8.0f} {len(logs):8,} {len(tables):7,}"
        f" {moved[0] / size / 1000:8.2f} {moved[1] / size / 1000:10.2f}"
        f" {live / size / 1000:10.2f}   image {n_bytes / size / 1000:.2f} kB",
        flush=True,
    )


def io_bytes(pid: int) -> tuple[int, int] | None:
    """Return the bytes that a process has read and written by system calls; None after its end."""
    try:
        rows = Path(f"/proc/{pid}/io").read_text().split("\n")
    except OSError:
        return None
    values = dict(row.split(": ") for row in rows if row)
    return int(values["rchar"]), int(values["wchar"])


def write_images(path: Path, n_images: int) -> int:
    """Write a TAR archive of distinct JPEGs of 64 px and return their total bytes."""
    total = 0
    with tarfile.open(path, "w") as archive:
        for name, raw in images(n_images):
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, BytesIO(raw))
            total += len(raw)
    return total


def images(n_images: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes of distinct images, drawn from the number."""
    for index in range(n_images):
        coarse = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        buffer = BytesIO()
        Image.fromarray(coarse).resize((64, 64)).save(buffer, "JPEG", quality=85)
        yield f"{index // 1000:05}/{index:09}.jpg", buffer.getvalue()


if __name__ == "__main__":
    main()
