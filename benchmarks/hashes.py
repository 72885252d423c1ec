"""Look-ups among a million known hashes: rate, memory, and the cost of adding and of opening."""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time

import numpy as np
import polars as pl

from assay.data.images.pdq import MATCH_BITS
from assay.data.store.lake import Lake
from assay.data.vocabulary import Decision
from assay.tasks.hashes import known_hashes
from assay.tasks.hashes.index import HashIndex, Words
from assay.tasks.hashes.known_hashes import add_hashes


def moved(words: Words, n_bits: int, rng: np.random.Generator) -> Words:
    """Return hashes with up to `n_bits` of their bits exchanged."""
    out = words.copy()
    for bit in rng.integers(0, 256, (n_bits, len(words))):
        out[np.arange(len(words)), bit // 64] ^= np.uint64(1) << (bit % 64).astype(np.uint64)
    return out


def opening(n: int, rng: np.random.Generator) -> None:
    """Print what the first look-up of a process costs, without and with a kept index."""
    digits = rng.bytes(32 * n).hex()
    hashes = pl.DataFrame(
        {"hash": [digits[i : i + 64] for i in range(0, len(digits), 64)], "note": None},
        schema={"hash": pl.String, "note": pl.String},
    )
    images = pl.DataFrame({"image_id": ["a"], "pdq": hashes["hash"].head(1)})
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASSAY_CACHE"] = f"{folder}/cache"
        lake = Lake(f"{folder}/lake")
        add_hashes(lake, hashes, list_name="list", decision=Decision.REVIEW)
        for name in ("from the table", "kept"):
            known_hashes._kept.clear()
            start_s = time.process_time()
            known_hashes.known_decisions(lake, images)
            print(f"first look-up, index {name}: {time.process_time() - start_s:.3f} s")


def main() -> None:
    """Print the figures; times are CPU time of one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--look-ups", type=int, default=5_000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64, (args.n, 4), dtype=np.uint64)
    index = HashIndex()
    start_s = time.process_time()
    index.add(words)
    print(f"{args.n:,} hashes sorted in {time.process_time() - start_s:.2f} s")
    print(f"index {index.n_bytes / 1e6:.0f} MB")
    copies = moved(words[: args.look_ups], MATCH_BITS, rng)
    for name, wanted in (("copies", copies), ("others", moved(copies, 256, rng))):
        start_s = time.process_time()
        found = index.find(wanted)
        seconds = time.process_time() - start_s
        print(f"{name}: {len(wanted) / seconds:,.0f} look-ups/s, {sum(map(len, found)):,} matches")
    start_s = time.process_time()
    for part in np.split(moved(words[:100_000], 256, rng), 100):
        index.add(part)
    print(f"100 additions of 1,000 in {time.process_time() - start_s:.2f} s")
    start_s = time.process_time()
    index.find(copies)
    rate = len(copies) / (time.process_time() - start_s)
    print(f"then {rate:,.0f} look-ups/s, index {index.n_bytes / 1e6:.0f} MB")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak memory of the process {peak_mb:.0f} MB")
    opening(args.n, rng)


if __name__ == "__main__":
    main()
