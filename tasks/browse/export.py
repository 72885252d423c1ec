"""Export of images with their latest facts to a file for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ...data.store.lake import Lake
from ..latest_rows import ROWS_AT_A_TIME
from .filters import Filters
from .images import Scope, known_images, parts_of_images, pinned
from .row_file import Format, write_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Written file with its format and its number of images."""

    file: Path
    format: Format
    images: int

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {"file": str(self.file), "format": self.format, "images": self.images}


def export_images(
    lake: Lake,
    scope: Scope,
    filters: Filters,
    file: Path,
    *,
    kind: Format,
    rows_at_a_time: int = ROWS_AT_A_TIME,
) -> Exported:
    """Write all matching images, ordered by id, with the columns of `images.COLUMNS`.

    Args:
        lake: Lake of the tables.
        scope: Images, score key and policy.
        filters: Conditions on the images.
        file: File to write; an existing file is replaced when the new one is complete.
        kind: Format of the file.
        rows_at_a_time: Approximate number of sightings in memory.

    Raises:
        InputError: The file cannot be written.
        StoreError: The lake cannot be read.
    """
    scope = scope if scope.versions else pinned(lake, scope)
    schema: pl.Schema = known_images(lake, scope).collect_schema()
    parts = parts_of_images(lake, scope, filters, rows_at_a_time=rows_at_a_time)
    images = write_rows(file, parts, schema, kind=kind)
    return Exported(file=file.absolute(), format=kind, images=images)
