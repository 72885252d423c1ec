"""Reading, checking and storing alone: images and megabytes per second, and where the time goes."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from photos import photos_between, write_photos
from PIL import Image

from assay.data.images.inspect_image import inspect_image
from assay.flows.request import Request
from assay.flows.run import run


def main() -> None:
    """Print the rates end to end, of the checks alone on one core, and of a bare copy to disk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    photos = photos_between(arguments.photos, arguments.n)
    n, n_mb = len(photos), sum(map(len, photos)) / 1e6
    rates: dict[str, list[float]] = {}

    def clock(name: str, started_s: float) -> None:
        rates.setdefault(name, []).append(n / (time.perf_counter() - started_s))

    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        folder = write_photos(here / "photos", photos)
        for index in range(arguments.rounds):
            started_s = time.perf_counter()
            run(Request(lake=str(here / f"lake-{index}"), sources=(str(folder),)), flow="ingest")
            clock("assay ingest, all cores", started_s)
            started_s = time.perf_counter()
            run(Request(lake=str(here / f"lake-{index}"), sources=(str(folder),)), flow="ingest")
            clock("the same again, nothing changed", started_s)
            started_s = time.perf_counter()
            for raw in photos:
                inspect_image(raw)
            clock("inspect_image alone, one core", started_s)
            started_s = time.perf_counter()
            for path in folder.rglob("*.jpg"):
                with Image.open(path) as picture:
                    picture.load()
            clock("Pillow decode alone, one core", started_s)
            started_s = time.perf_counter()
            write_photos(here / f"copy-{index}", photos)
            clock("writing the files again", started_s)
    print(f"{n} photos, {n_mb:.1f} MB, {n_mb / n * 1000:.0f} kB each")
    for name, values in rates.items():
        median = statistics.median(values)
        print(
            f"{name:34} {median:9.1f} images/s ({min(values):.1f}-{max(values):.1f}), "
            f"{median * n_mb / n:7.1f} MB/s"
        )


if __name__ == "__main__":
    main()
