"""What a publication costs before it reads an image, per number of images in the lake.

The lakes are those of `lake_size.py`, with labels and domains and without embeddings, which a plan
does not read. Each step runs in a process of its own: CPU seconds, and peak memory of the process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import lake_size
import numpy as np
import polars as pl
import pyarrow as pa
from child import answer_of, peak_mb

from assay.data.schema import TABLES
from assay.data.store.conform import conform
from assay.data.store.lake import Lake
from assay.tasks.publish.limits import Limits
from assay.tasks.publish.pinned import pin
from assay.tasks.publish.plan import chosen_images
from assay.tasks.publish.selection import Selection
from assay.tasks.publish.splits import assign_splits, find_leaks

FRACTIONS = (0.8, 0.1, 0.1)


class LabelledRows(lake_size.Rows):
    """Rows with labels, four real for one fake, and ten domains; scores have no embedding."""

    def of(self, n: int) -> dict[str, pl.DataFrame]:
        """Return the rows of `n` further images by table."""
        tables = super().of(n)
        numbers = pl.Series(np.arange(n))
        tables["sightings"] = tables["sightings"].with_columns(
            label=pl.when(numbers % 5 == 0).then(pl.lit("fake")).otherwise(pl.lit("real")),
            domain=pl.format("domain-{}", numbers % 10),
        )
        return tables

    def as_table(self, table: str, rows: pl.DataFrame) -> pa.Table:
        """Return rows in the table's schema, with nulls in columns that they lack."""
        rest = {
            name: pl.lit(None, kind)
            for name, kind in pl.Schema(TABLES[table]).items()
            if name not in rows.columns
        }
        return conform(table, rows.with_columns(**rest).select(TABLES[table].names))


def plan(lake: Lake, selection: Selection, limits: Limits) -> pl.DataFrame:
    """Return images, groups and splits of a dataset."""
    chosen, _ = chosen_images(lake, pin(lake), selection, limits, seed=0)
    splits = assign_splits(chosen["group_id"], fractions=FRACTIONS, seed=0)
    return chosen.with_columns(splits)


def step_of(name: str, lake: Lake) -> Callable[[], Any]:
    """Return what is measured; what it needs is made before."""
    where = Selection.of(where="prob_fake > 0.1")
    cap = {"label": lake.n_rows("images") // 2, "source": 900}
    limits = {
        "plan": (Selection(), Limits.of()),
        "plan with --where": (where, Limits.of()),
        "plan with --cap": (Selection(), Limits.of(cap=cap)),
        "plan with --balance": (Selection(), Limits.of(cap=cap, balance="label")),
    }
    if name in limits:
        return lambda: plan(lake, *limits[name])
    rows = plan(lake, *limits["plan"]).with_columns(parent_id=pl.lit(None, pl.String))
    return lambda: find_leaks(rows)


STEPS = ("plan", "plan with --where", "plan with --cap", "plan with --balance", "check for leaks")


def measured(name: str, uri: str, out: Connection) -> None:
    """Send CPU seconds of one step and the peak memory of its process in MB."""
    step = step_of(name, Lake(uri, create=False))
    begin_s = time.process_time()
    step()
    seconds = time.process_time() - begin_s
    out.send((seconds, peak_mb()))


def main() -> None:
    """Print a table of steps and numbers of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    arguments = parser.parse_args()
    lake_size.Rows = LabelledRows  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        for n in arguments.sizes:
            lake_size.make_lake(Path(folder) / str(n), n, is_sorted=True, is_coarse=True)
        print(f"{'step':20}", *(f"{n:>12,} images" for n in arguments.sizes))
        for name in arguments.steps:
            cells = []
            for n in arguments.sizes:
                seconds, megabytes = answer_of(measured, name, f"{folder}/{n}")
                cells.append(f"{seconds:8.2f} s {megabytes:5.0f} MB")
            print(f"{name:20}", *(f"{cell:>19}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
