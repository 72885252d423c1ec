"""What drift costs by the number of images, how often it alarms for nothing, and what it finds.

Rows are made in memory, so that the cost is that of the comparison without reading a lake; with
`lakes` the tables are read too. Each size is measured in a process of its own: CPU seconds, and
peak memory with both populations in it. Alarms are counted over halves of one population, cut at
random: the rate stated is that of any alarm over all measures of all groups.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import polars as pl
from child import answer_of, peak_mb
from numpy.typing import NDArray

from assay.data.score_key import ScoreKey
from assay.data.store.lake import Lake
from assay.tasks.audit.estimate import Stratum, estimate
from assay.tasks.drift.compare import Drift, compare
from assay.tasks.drift.populations import of_runs
from assay.tasks.drift.report import drift_report

N_DIMS = 384
KEY = ScoreKey(detector="made@1", weights_sha256="0" * 64, profile="none", precision="fp32")


def images(n: int, rng: np.random.Generator, first: int = 0) -> pl.DataFrame:
    """Return n images: two sizes and qualities, one in five a WebP, all independent."""
    width = rng.choice([640, 1280], n)
    is_webp = rng.uniform(size=n) < 0.2
    return pl.DataFrame(
        {
            "image_id": pl.Series(np.arange(first, first + n)).cast(pl.String).str.zfill(64),
            "logit": rng.normal(-2, 1.5, n).astype(np.float32),
            "width_px": width,
            "height_px": width * 3 // 4,
            "n_bytes": (width**2 * rng.uniform(0.1, 0.3, n)).astype(np.int64),
            "format": np.where(is_webp, "WEBP", "JPEG"),
            "jpeg_quality": pl.Series(rng.choice([75, 90], n)).set(pl.Series(is_webp), None),
        }
    )


def vectors_of(ids: pl.Series, shift: float = 0.0) -> dict[str, NDArray[np.float32]]:
    """Return embeddings that follow from the ids."""
    rng = np.random.default_rng(len(ids))
    rows = rng.normal(shift, 1, (len(ids), N_DIMS)).astype(np.float32)
    return dict(zip(ids.sort(), rows, strict=True))


def cost(n: int, n_groups: int, out: Connection) -> None:
    """Send CPU seconds and peak MB of comparing n images with n others, in groups."""
    rng = np.random.default_rng(0)
    sides = [images(n, rng, first) for first in (0, n)]
    size = n // n_groups
    pairs = {
        f"group {i}": (sides[0][i * size : (i + 1) * size], sides[1][i * size : (i + 1) * size])
        for i in range(n_groups)
    }
    begin_s = time.process_time()
    compare(pairs, vectors_of)
    seconds = time.process_time() - begin_s
    out.send((seconds, peak_mb()))


def print_cost(sizes: list[int]) -> None:
    """Print a table of the cost per number of images."""
    print(f"{'images per side':>16}{'groups':>8}{'CPU':>10}{'peak':>10}")
    for n in sizes:
        for n_groups in (1, 10):
            seconds, megabytes = answer_of(cost, n, n_groups)
            print(f"{n:>16,}{n_groups:>8}{seconds:>8.2f} s{megabytes:>7.0f} MB", flush=True)


def made_lake(folder: str, n: int) -> Lake:
    """Return a lake of n images, of which two runs scored a half each."""
    rng = np.random.default_rng(0)
    lake, at = Lake(folder), datetime.now(UTC)
    step = min(n // 2, 50_000)
    for first in range(0, n, step):
        rows = images(step, rng, first)
        run_id = f"r{2 * first // n}"
        vectors = rng.normal(0, 1, (step, N_DIMS)).astype(np.float32)
        scores = rows.select(
            "image_id",
            "logit",
            **{name: pl.lit(value) for name, value in KEY.as_row().items()},
            backend=pl.lit("torch-cpu"),
            status=pl.lit("scored"),
            reason=pl.lit(None, dtype=pl.String),
            prob_fake=pl.lit(0.5, dtype=pl.Float32),
            embedding=pl.Series(vectors, dtype=pl.Array(pl.Float32, N_DIMS)).cast(
                pl.List(pl.Float32)
            ),
            run_id=pl.lit(run_id),
            code_version=pl.lit("1"),
            scored_at=pl.lit(at + timedelta(seconds=first)).dt.cast_time_unit("us"),
        )
        facts = rows.drop("logit").with_columns(
            shard=pl.lit("s"),
            row_group=pl.lit(0),
            row=pl.lit(0),
            mode=pl.lit("RGB"),
            n_frames=pl.lit(1),
            phash=pl.lit("0" * 16),
            capture=pl.lit(None),
            ai_declared=pl.lit(None, dtype=pl.String),
            batch_id=pl.lit("b"),
            ingested_at=pl.lit(at).dt.cast_time_unit("us"),
        )
        lake.append("images", facts, txn=f"images:{first}")
        lake.append("scores", scores, txn=f"scores:{first}")
    run = {"run_id": "r1", "flow": "moderate", "status": "completed", "config_sha256": "0" * 64}
    run |= {"params": json.dumps(KEY.as_row() | {"batch_id": "b"}), "code_version": "1"}
    lake.append("runs", [run | {"started_at": at, "finished_at": at, "counts": "{}"}], txn="run")
    return lake


def lake_cost(folder: str, out: Connection) -> None:
    """Send CPU seconds, seconds and peak MB of comparing the runs of a lake."""
    begin_s, start_s = time.process_time(), time.monotonic()
    lake = Lake(folder, create=False)
    drift_report(lake, of_runs(lake))
    seconds = time.process_time() - begin_s, time.monotonic() - start_s
    out.send((*seconds, peak_mb()))


def print_lakes(sizes: list[int]) -> None:
    """Print what comparing two runs of a lake costs, its tables read from disk."""
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            made_lake(folder, n)
            cpu_s, seconds, megabytes = answer_of(lake_cost, folder)
        print(
            f"a lake of {n:>9,} images, two runs: {cpu_s:.2f} s of CPU, {seconds:.1f} s,"
            f" peak {megabytes:,.0f} MB",
            flush=True,
        )


def halves(n: int, n_pairs: int, seed: int) -> Iterator[dict[str, tuple[pl.DataFrame, Any]]]:
    """Yield populations cut in two halves of n images at random."""
    rng = np.random.default_rng(seed)
    for _ in range(n_pairs):
        both = images(2 * n, rng)[rng.permutation(2 * n)]
        yield {"all": (both[:n], both[n:])}


def print_alarms(n_pairs: int) -> None:
    """Print how often identical halves alarm, beside the stated rate."""
    for n in (80, 1000):
        for alpha in (0.01, 0.05):
            n_alarms = sum(
                compare(pair, vectors_of, alpha=alpha, limit=0)["all"].drift is not Drift.NONE
                for pair in halves(n, n_pairs, seed=n)
            )
            error = 3 * math.sqrt(alpha * (1 - alpha) / n_pairs)
            word = "holds" if n_alarms / n_pairs <= alpha + error else "BROKEN"
            print(
                f"halves of {n:>5,} images: {n_alarms} alarms in {n_pairs}, at most {alpha:.0%}"
                f" stated (+- {error:.1%}): {word}",
                flush=True,
            )


def print_power(n_pairs: int) -> None:
    """Print how often shifts of the scores alone are found at the default rate and limit."""
    for n in (100, 1000):
        for shift in (0.25, 0.5, 1.0):
            found = 0
            for pair in halves(n, n_pairs, seed=n + 1):
                before, after = pair["all"]
                moved = after.with_columns(pl.col("logit") + 1.5 * shift)
                found += "score" in compare({"all": (before, moved)}, vectors_of)["all"].shifted
            print(
                f"{n:>6,} images per side, scores shifted by {shift:g} deviations: found in"
                f" {found / n_pairs:.0%} of {n_pairs}",
                flush=True,
            )


# Images, fakes and drawn images of each decision, in months of several kinds.
MONTHS = {
    "2 % fakes": ((20_000, 120, 200), (600, 90, 75), (400, 300, 75)),
    "0.1 % fakes": ((100_000, 40, 1000), (400, 20, 75), (100, 60, 75)),
    "half fakes": ((3000, 300, 150), (2000, 1000, 75), (5000, 4700, 75)),
    "few images": ((60, 2, 60), (20, 8, 20), (12, 11, 12)),
    "no fake among the cleared": ((5000, 0, 150), (300, 60, 75), (200, 150, 75)),
}


def print_coverage(n_months: int) -> None:
    """Print in how many months each interval of an audit covers the truth."""
    names = ("clear", "review", "flag")
    for kind, strata in MONTHS.items():
        rng = np.random.default_rng(5)
        fakes = dict(zip(names, (k for _, k, _ in strata), strict=True))
        n_fakes, n_flagged = sum(fakes.values()), strata[2][0]
        truth = {
            "prevalence": n_fakes / sum(n for n, _, _ in strata),
            "precision": fakes["flag"] / n_flagged,
            "recall": fakes["flag"] / n_fakes,
            "found": (fakes["flag"] + fakes["review"]) / n_fakes,
        }
        covered, known = dict.fromkeys(truth, 0), {}
        for _ in range(n_months):
            ks = tuple(int(rng.hypergeometric(k, n - k, drawn)) for n, k, drawn in strata)
            if ks not in known:
                known[ks] = estimate(
                    {
                        name: Stratum(n_all=n, n_drawn=drawn, n_labelled=drawn, n_fake=found)
                        for name, (n, _, drawn), found in zip(names, strata, ks, strict=True)
                    }
                ).to_json()
            for name, value in truth.items():
                figure = known[ks][name]
                covered[name] += figure["low"] - 1e-12 <= value <= figure["high"] + 1e-12
        words = ", ".join(f"{name} {n / n_months:.1%}" for name, n in covered.items())
        least = min(covered.values()) / n_months
        print(f"{kind:26} {words}: {'holds' if least >= 0.93 else 'BROKEN'}", flush=True)


def main() -> None:
    """Print cost, cost with a lake, false alarms, power, and the coverage of audits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--months", type=int, default=1000)
    parser.add_argument(
        "--only", nargs="+", default=["cost", "lakes", "alarms", "power", "audits"], metavar="PART"
    )
    arguments = parser.parse_args()
    if "cost" in arguments.only:
        print_cost(arguments.sizes)
    if "lakes" in arguments.only:
        print_lakes(arguments.sizes)
    if "alarms" in arguments.only:
        print_alarms(arguments.pairs)
    if "power" in arguments.only:
        print_power(arguments.pairs)
    if "audits" in arguments.only:
        print_coverage(arguments.months)


if __name__ == "__main__":
    main()
