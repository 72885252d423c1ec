"""Peak memory of `assay moderate` for 1,000 and for 10,000 images, each in its own process.

The embedded detector is used: what a run holds besides the model is the same for every one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from photos import photos_between, write_photos


def peak_mb(folder: Path, lake: Path) -> tuple[float, dict[str, float]]:
    """Runs the command and gives its peak resident memory in MB and its answer."""
    command = [sys.executable, "-m", "assay", "moderate", str(folder), "--lake", str(lake)]
    command += ["--detector", "mini", "--no-server", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, told
    return usage.ru_maxrss / 1024, json.loads(told)


def main() -> None:
    """Prints a line a size, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    arguments = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        for n in arguments.sizes:
            folder = write_photos(here / f"photos-{n}", photos_between(arguments.photos, n))
            peak, told = peak_mb(folder, here / f"lake-{n}")
            peaks.append(peak)
            print(
                f"{n:>7} images: peak {peak:7.0f} MB, {told['seconds']:.0f} s, "
                f"{told['images_per_second']:.1f} images/s, scored {told['scored']}",
                flush=True,
            )
    print(f"last / first: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
