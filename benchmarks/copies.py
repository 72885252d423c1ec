"""The groups of copies of a lake: all of them, and those of ten images among a million."""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import polars as pl

from assay.tasks.copies.groups import _near, groups_of


def images_of(n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return images of random hashes, a tenth of them copies with up to 4 bits exchanged."""
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    copies = n // 10
    source = hashes[copies : 2 * copies].copy()
    for bit in rng.integers(0, 64, (4, copies)):
        source ^= np.uint64(1) << bit.astype(np.uint64)
    hashes[:copies] = source
    ids = pl.Series(np.arange(n)).cast(pl.String).str.zfill(64)
    return pl.DataFrame(
        {
            "image_id": ids,
            "phash": [f"{value:016x}" for value in hashes.tolist()],
            "width_px": rng.integers(200, 4000, n),
            "height_px": rng.integers(200, 4000, n),
            "n_bytes": rng.integers(10_000, 5_000_000, n),
        }
    )


def main() -> None:
    """Print seconds of CPU and groups per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    for n in args.sizes:
        images = images_of(n, rng)
        start_s = time.process_time()
        groups = groups_of(images)
        whole_s = time.process_time() - start_s
        numbers = np.sort(rng.integers(0, 2**64, n, dtype=np.uint64))
        start_s = time.process_time()
        _near(numbers, numbers[:10])
        few_s = time.process_time() - start_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(
            f"{n:,} images: {groups['lead_id'].n_unique():,} groups in {whole_s:.1f} s,"
            f" those near to ten in {1000 * few_s:.0f} ms, peak {peak_mb:,.0f} MB"
        )


if __name__ == "__main__":
    main()
