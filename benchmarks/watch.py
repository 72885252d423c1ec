"""Cost of one look of `assay watch` over many known files, in its memory alone.

    python benchmarks/watch.py --files 1000000

Prints one JSON object: CPU seconds of the first look, of a second one with nothing new, and of the
announcement of all, with the peak of the process's memory and the size of the watch's file.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from assay.flows.events.watch.files_below import FileState
from assay.flows.events.watch.seen_files import SeenFiles


def files(n_files: int) -> Iterator[FileState]:
    """Yield files as a store lists them, in the order of their keys."""
    for number in range(n_files):
        yield FileState(f"s3://bucket/incoming/{number:012d}.jpg", 200_000, f"200000-{number}", 0.0)


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds that a function takes."""
    before = time.process_time()
    work()
    return round(time.process_time() - before, 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    n_files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seen.sqlite"
        seen = SeenFiles(path)
        peak_before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = {
            "files": n_files,
            "first_look_cpu_s": cpu_s(lambda: seen.note(files(n_files), now_s=1.0)),
            "announce_cpu_s": cpu_s(
                lambda: seen.prepare(now_s=2.0, settle_s=0.0, max_files=10_000)
            ),
            "second_look_cpu_s": cpu_s(lambda: seen.note(files(n_files), now_s=3.0)),
            "forget_cpu_s": cpu_s(seen.forget_missing),
            "announcements": len(seen.unsent()),
            "file_mb": round(path.stat().st_size / 1e6),
            "peak_mb_before": round(peak_before_mb),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        seen.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
