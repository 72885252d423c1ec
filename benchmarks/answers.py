"""Cost of `assay review stats` over many answers, and of the import of a file of answers.

    python benchmarks/answers.py --answers 1000000 --imported 100000

The answers are generated: two per image, of 20 reviewers who agree in four of five. Prints one JSON
object: CPU seconds of the figures, of a check, an import and a repeated import, and the peak of
the process's memory after each.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.data.vocabulary import Label
from assay.tasks.exchange.import_answers import check_import, import_answers
from assay.tasks.exchange.label_studio_values import Reader
from assay.tasks.review.stats import review_stats

N_REVIEWERS = 20
LABELS = np.array([label.value for label in Label])


def fill(lake: Lake, n_images: int) -> list[str]:
    """Write rows of images and two answers about each; return the ids of the images."""
    rng = np.random.default_rng(0)
    image_ids = [f"{number:064x}" for number in range(n_images)]
    now = datetime.now(UTC)
    texts = dict.fromkeys(("shard", "format", "mode", "phash", "batch_id"), "x")
    numbers = dict.fromkeys(("row_group", "row", "n_bytes", "width_px", "height_px", "n_frames"), 1)
    lake.append(
        "images", _table("images", image_ids, texts | numbers | {"ingested_at": now}), txn="i"
    )
    truth = rng.integers(0, 3, n_images)
    for turn in range(2):
        labels = np.where(rng.random(n_images) < 0.8, truth, rng.integers(0, 4, n_images))
        who = (np.arange(n_images) * 7 + 10 * turn + rng.integers(0, 10, n_images)) % N_REVIEWERS
        rows = _table("reviews", image_ids, {"origin": "page", "kind": "queue", "reviewed_at": now})
        answers = rows.with_columns(
            label=pl.Series(LABELS[labels]),
            reviewer=pl.Series([f"reviewer {number}" for number in who]),
            seconds=pl.Series(rng.lognormal(1, 0.5, n_images), dtype=pl.Float32),
            answer_id=pl.Series([f"{turn:08x}{number:024x}" for number in range(n_images)]),
        )
        lake.append("reviews", answers, txn=f"r{turn}")
    return image_ids


def _table(name: str, image_ids: list[str], values: dict[str, object]) -> pl.DataFrame:
    """Return rows of a table with the same values in each; columns without one are null."""
    empty = pl.from_arrow(TABLES[name].empty_table())
    assert isinstance(empty, pl.DataFrame)
    return pl.DataFrame({"image_id": image_ids}).select(
        pl.col("image_id")
        if column == "image_id"
        else pl.lit(values.get(column)).cast(kind).alias(column)
        for column, kind in empty.schema.items()
    )


def measured(name: str, work: Callable[[], object]) -> dict[str, float]:
    """Return CPU seconds and peak memory of a function."""
    before = time.process_time()
    work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        f"{name}_cpu_s": round(time.process_time() - before, 1),
        f"{name}_peak_gb": round(peak, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--imported", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        image_ids = fill(lake, given.answers // 2)
        file = Path(folder) / "answers.csv"
        rows = [f"{image_id},real,import\n" for image_id in image_ids[: given.imported]]
        file.write_text("".join(["image_id,label,reviewer\n", *rows]))
        reader = Reader()
        figures = {"answers": given.answers, "imported": len(rows)}
        figures |= measured("stats", lambda: review_stats(lake))
        figures |= measured("check", lambda: check_import(lake, file, reader=reader))
        figures |= measured("import", lambda: import_answers(lake, file, reader=reader))
        figures |= measured("again", lambda: import_answers(lake, file, reader=reader))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
