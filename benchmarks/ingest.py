"""Reading, checking and storing alone: images and megabytes per second, and where the time goes.

On a machine that other work shares, the CPU time per image and its ratio to Pillow's decode count.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from photos import photos_between, write_photos
from PIL import Image

from assay.data.images.inspect_image import inspect_image
from assay.flows.request import Request
from assay.flows.run import run

DECODE = "Pillow decode alone, one core"


def main() -> None:
    """Print rates and CPU times end to end, of the checks alone, and of a bare copy to disk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    photos = photos_between(arguments.photos, arguments.n)
    n, n_mb = len(photos), sum(map(len, photos)) / 1e6
    rates: dict[str, list[float]] = {}
    cpu_ms: dict[str, list[float]] = {}

    @contextmanager
    def clock(name: str) -> Iterator[None]:
        started_s, cpu_started_s = time.perf_counter(), time.process_time()
        yield
        rates.setdefault(name, []).append(n / (time.perf_counter() - started_s))
        cpu_ms.setdefault(name, []).append(1000 * (time.process_time() - cpu_started_s) / n)

    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        folder = write_photos(here / "photos", photos)
        for index in range(arguments.rounds):
            request = Request(lake=str(here / f"lake-{index}"), sources=(str(folder),))
            with clock("assay ingest, all cores"):
                run(request, flow="ingest")
            with clock("the same again, nothing changed"):
                run(request, flow="ingest")
            with clock("inspect_image alone, one core"):
                for raw in photos:
                    inspect_image(raw)
            with clock(DECODE):
                for raw in photos:
                    with Image.open(io.BytesIO(raw)) as picture:
                        picture.load()
            with clock("writing the files again"):
                write_photos(here / f"copy-{index}", photos)
    print(f"{n} photos, {n_mb:.1f} MB, {n_mb / n * 1000:.0f} kB each")
    for name, values in rates.items():
        median, cost_ms = statistics.median(values), statistics.median(cpu_ms[name])
        print(
            f"{name:34} {median:9.1f} images/s ({min(values):.1f}-{max(values):.1f}), "
            f"{median * n_mb / n:7.1f} MB/s, {cost_ms:6.2f} ms CPU per image,"
            f" {_ratio(cpu_ms[name], cpu_ms[DECODE]):5.2f} times the decode"
        )


def _ratio(values: list[float], decodes: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(values, decodes, strict=True))


if __name__ == "__main__":
    main()
