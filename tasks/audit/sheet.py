"""The sample of an audit as a file to label outside: CSV, or tasks for Label Studio.

Neither names score, decision or stratum, which would lead the reviewers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from ...data.store.lake import Lake
from ..browse.filters import Filters
from ..browse.row_file import write_rows
from ..exchange.chosen import Chosen
from ..exchange.label_studio_tasks import write_tasks
from ..latest_rows import Named, latest_sightings

_COLUMNS: Final = ("image_id", "source_uri", "label", "reviewer", "note")


def write_sheet(lake: Lake, sample: pl.DataFrame, file: Path) -> None:
    """Write the images of a sample in the order of their ids, without labels.

    Args:
        lake: Lake of the images.
        sample: Column image_id; others are not written.
        file: File to write: .csv, or .json for Label Studio.

    Raises:
        InputError: The file cannot be written.
        StoreError: The lake cannot be read.
    """
    ids = sample.select("image_id")
    if file.suffix.lower() == ".json":
        parts = Chosen(lake=lake, filters=Filters()).parts()
        drawn = (part.join(ids, on="image_id", how="semi") for part in parts)
        write_tasks(lake, drawn, file, image_as="data", has_predictions=False)
        return
    seen = latest_sightings(lake, part=Named(ids=tuple(ids["image_id"])))
    empty = pl.lit(None, dtype=pl.String)
    rows = (
        seen.select("image_id", "source_uri", label=empty, reviewer=empty, note=empty)
        .select(_COLUMNS)
        .sort("image_id")
        .collect()
    )
    write_rows(file, [rows], rows.schema, kind="csv")
