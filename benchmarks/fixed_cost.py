"""What a run of ten images costs as a whole process, and where it goes.

The first run on a machine measures its backends; later ones know them; the last one finds
nothing new.
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
from pathlib import Path

from photos import photos_between, write_photos

PARTS = """
import json, time
told, last = {}, time.perf_counter()
def lap(name):
    global last
    now = time.perf_counter(); told[name] = now - last; last = now
import assay.flows.cli; lap("import the command")
import polars, deltalake, pyarrow.parquet; lap("import polars, deltalake, pyarrow")
import assay.flows.run as r, assay.flows.steps as s; lap("import the steps")
from assay.flows.request import Request
import sys
request = Request(lake=sys.argv[2], sources=(sys.argv[1],), detector="mini")
s.detector_of(request); lap("load the detector")
result = r.run(request, flow="ingest"); lap("ingest ten images")
result = r.run(request); lap("score, decide, report")
result = r.run(request); lap("the same again, in a warm process")
print(json.dumps(told))
"""


def main() -> None:
    """Print whole-process seconds for the first and second run, then the parts of one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    first, second, third, parts = [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        folder = write_photos(here / "photos", photos_between(arguments.photos, 10))
        for index in range(arguments.rounds):
            machine = os.environ | {"ASSAY_CACHE": str(here / f"cache-{index}")}
            command = [sys.executable, "-m", "assay", "moderate", str(folder)]
            command += ["--detector", "mini", "--no-server", "--lake"]
            for kept, lake in ((first, "a"), (second, "b"), (third, "b")):
                started_s = time.perf_counter()
                subprocess.run(
                    [*command, str(here / f"lake-{lake}-{index}")],
                    check=True,
                    capture_output=True,
                    env=machine,
                )
                kept.append(time.perf_counter() - started_s)
            probe = [sys.executable, "-c", PARTS, str(folder), str(here / f"parts-{index}")]
            parts.append(json.loads(subprocess.run(probe, check=True, capture_output=True).stdout))
    runs = {
        "the first run on a machine": first,
        "another lake on it": second,
        "the same again": third,
    }
    for name, values in runs.items():
        print(f"{name:46} {statistics.median(values):6.2f} s ({min(values):.2f}-{max(values):.2f})")
    for name in parts[0]:
        print(f"  {name:44} {statistics.median(part[name] for part in parts):6.2f} s")


if __name__ == "__main__":
    main()
