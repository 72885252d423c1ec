"""What deciding, its log, calibration, grouping and audits cost per number of images.

Rows are made in memory, so that the figures are those of the steps without reading and writing.
Each figure is measured in a process of its own: CPU seconds and peak memory above the start.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import numpy as np
import polars as pl
from child import answer_of, peak_mb
from scipy.special import expit

from assay.data.score_key import ScoreKey
from assay.tasks.audit.sample import draw
from assay.tasks.calibrate.calibrate import calibration_of
from assay.tasks.calibrate.guarantee import guarantee_of
from assay.tasks.calibrate.labelled import Labelled
from assay.tasks.copies.near_duplicates import group_near_duplicates
from assay.tasks.decide.decide import decide
from assay.tasks.decide.decision_log import chained, first_tail, with_inputs
from assay.tasks.decide.embedding_domain import MAX_IMAGES, domain_of
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.shortcuts.measure import measure_shortcut

KEY = ScoreKey(detector="made@1", weights_sha256="0" * 64, profile="none", precision="fp32")


def images(n: int) -> pl.DataFrame:
    """Return n images with scores, half of them fake, and what the rules read."""
    rng = np.random.default_rng(0)
    is_fake = rng.uniform(size=n) < 0.5
    logits = (np.where(is_fake, 2, -2) + rng.normal(0, 1.5, n)).astype(np.float32)
    return pl.DataFrame(
        {
            "image_id": [f"{number:064x}" for number in rng.permutation(n)],
            "detector": "made@1",
            "status": "scored",
            "logit": logits,
            "prob_fake": expit(logits),
            "width_px": rng.integers(400, 2000, n),
            "height_px": rng.integers(400, 2000, n),
            "domain": pl.Series([None], dtype=pl.String).new_from_index(0, n),
            "ai_declared": pl.Series([None], dtype=pl.String).new_from_index(0, n),
            "doubt": pl.Series([None], dtype=pl.String).new_from_index(0, n),
            "view_prob": pl.Series([None], dtype=pl.Float64).new_from_index(0, n),
            "p_real": pl.Series([None], dtype=pl.Float32).new_from_index(0, n),
            "is_fake": is_fake,
        }
    )


def decide_all(rows: pl.DataFrame) -> None:
    """Decide all rows."""
    decide(rows, load_policy())


def log_all(rows: pl.DataFrame) -> None:
    """Hash the inputs of all rows, and chain them."""
    logged = with_inputs(rows, KEY, load_policy()).with_columns(
        **{name: pl.lit("x") for name in ("weights_sha256", "profile", "precision", "policy_id")},
        **{name: pl.lit(None) for name in ("calibration_id", "group_id", "prob_calibrated")},
        decision=pl.lit("clear"),
        reasons=pl.lit("below_review_threshold"),
        run_id=pl.lit("r"),
        decided_at=pl.lit(datetime.now(UTC)),
    )
    chained(logged, first_tail("r"))


def compare_all(rows: pl.DataFrame) -> None:
    """Compare embeddings of 384 numbers with those of 1,000 real and 1,000 fake images."""
    rng = np.random.default_rng(2)
    reals, fakes, some = (
        rng.normal(size=(n, 384)).astype(np.float32) for n in (MAX_IMAGES, MAX_IMAGES, 8192)
    )
    near = domain_of(reals, fakes)
    assert near is not None
    for start in range(0, rows.height, len(some)):  # in batches, as they are read
        near.p_values(near.distances(some[: rows.height - start]))


def calibrate_all(rows: pl.DataFrame) -> None:
    """Calibrate on all rows, as if each was labelled."""
    some = rows.select("image_id", "logit", "domain", "is_fake")
    labelled = Labelled(rows=some, n_images=some.height, n_disputed=0, n_unscored=0)
    calibration_of(labelled, KEY, guarantee_of("fpr=1%@95%"), base=load_policy())


def group_all(rows: pl.DataFrame) -> None:
    """Group random perceptual hashes."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, rows.height, dtype=np.uint64)
    named = rows.select(
        "image_id",
        phash=pl.Series([f"{one:016x}" for one in hashes]),
        ingested_at=pl.lit(datetime.now(UTC)),
    )
    lineage = pl.DataFrame(schema={"image_id": pl.String, "parent_id": pl.String})
    group_near_duplicates(named, lineage)


def audit_all(rows: pl.DataFrame) -> None:
    """Draw 1 % of all rows."""
    decided = rows.select("image_id", decision=pl.lit("clear"))
    draw(decided, {"clear": rows.height // 100}, seed=0)


def measure_shortcuts(rows: pl.DataFrame) -> None:
    """Measure shortcuts of all rows."""
    measure_shortcut(
        rows.select(
            "width_px",
            "height_px",
            "is_fake",
            n_bytes=pl.col("width_px") * 100,
            jpeg_quality=pl.lit(90),
            format=pl.lit("JPEG"),
            group_id="image_id",
        )
    )


STEPS: dict[str, Callable[[pl.DataFrame], None]] = {
    "decide": decide_all,
    "decision log": log_all,
    "out of domain": compare_all,
    "calibrate": calibrate_all,
    "group": group_all,
    "audit draw": audit_all,
    "shortcuts": measure_shortcuts,
}


def measured(name: str, n: int, out: Connection) -> None:
    """Send CPU seconds and peak MB of one step."""
    rows = images(n)
    begin_mb = peak_mb()
    begin_s = time.process_time()
    STEPS[name](rows)
    seconds = time.process_time() - begin_s
    out.send((seconds, peak_mb() - begin_mb))


def main() -> None:
    """Print a table of steps and numbers of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    arguments = parser.parse_args()
    print(f"{'step':14}", *(f"{n:>12,} images" for n in arguments.sizes))
    for name in arguments.steps:
        cells = []
        for n in arguments.sizes:
            seconds, megabytes = answer_of(measured, name, n)
            cells.append(f"{seconds:8.2f} s {megabytes:5.0f} MB")
        print(f"{name:14}", *(f"{cell:>19}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
