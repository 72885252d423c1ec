"""Peak memory of `assay moderate` for 1,000 and for 10,000 images, each in its own process.

A one-layer detector is used, made here with random weights: it scores ten times as many images a
second as a real one, and what a run holds besides the model is the same for every one. Give
`--detector mini`, or any other, to see the sum.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from photos import photos_between, write_photos

FIRST = 20


def one_layer_detector(folder: Path) -> None:
    """Write a checkpoint of the real one's class, with one small layer."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=128,
        layer_norm_eps=1e-6,
        image_size=384,
        patch_size=32,
        num_labels=1,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    (folder / "detector.toml").write_text('positive = "fake"\n')


def make(folder: Path, source: Path | None, n: int) -> None:
    """Write the photos."""
    write_photos(folder, photos_between(source, n))


def apart(work: Callable[..., object], *arguments: object) -> None:
    """Run it in a separate process: a child's peak includes its parent's memory at the fork."""
    process = multiprocessing.Process(target=work, args=arguments)
    process.start()
    process.join()


def peak_mb(folder: Path, lake: Path, detector: str) -> tuple[float, dict[str, float]]:
    """Run the command and return its peak resident memory in MB, and its output."""
    command = [sys.executable, "-m", "assay", "moderate", str(folder), "--lake", str(lake)]
    command += ["--detector", detector, "--no-server", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, told
    return usage.ru_maxrss / 1024, json.loads(told)


def main() -> None:
    """Print one line per size, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--detector")
    arguments = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        detector = arguments.detector or str(here / "detector")
        if arguments.detector is None:
            apart(one_layer_detector, here / "detector")
        # The first run on a machine loads PyTorch to compare backends, whatever its size.
        for n in (FIRST, *arguments.sizes):
            folder = here / f"photos-{n}"
            apart(make, folder, arguments.photos, n)
            peak, told = peak_mb(folder, here / f"lake-{n}", detector)
            if n != FIRST:
                peaks.append(peak)
            print(
                f"{n:>7} images: peak {peak:7.0f} MB, {told['seconds']:.0f} s, "
                f"{told['images_per_second']:.1f} images/s, scored {told['scored']}",
                flush=True,
            )
    print(f"last / first: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
