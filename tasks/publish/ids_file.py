"""Ids of images in a file of the user: lines, or the column `image_id` of a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from ...data.errors import InputError, brief, shorten
from ...data.user_paths import from_home

_READERS: Final[dict[str, Callable[[Path], pl.LazyFrame]]] = {
    ".csv": lambda file: pl.scan_csv(file, infer_schema=False),
    ".parquet": pl.scan_parquet,
    ".jsonl": lambda file: pl.scan_ndjson(file, infer_schema_length=None),
    ".ndjson": lambda file: pl.scan_ndjson(file, infer_schema_length=None),
}


def read_ids(file: Path) -> pl.Series:
    """Return the ids of images that a file names, in its order.

    Args:
        file: CSV, Parquet or JSON lines with a column `image_id`, as `assay export` writes it; any
            other file is text with one id per line.

    Raises:
        InputError: The file cannot be read, has no such column, or names no image.
    """
    file = from_home(file)
    read = _READERS.get(file.suffix.lower())
    try:
        ids = _ids_of(read(file), file) if read else _lines(file)
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read ids from {file}: {brief(error)}") from error
    if ids.is_empty():
        raise InputError(f"{file} names no image; give a file with at least one image_id")
    return ids


def _ids_of(rows: pl.LazyFrame, file: Path) -> pl.Series:
    names = rows.collect_schema().names()
    if "image_id" not in names:
        raise InputError(
            f"{file} has no column image_id, but {shorten(', '.join(names), 100)}; name the column"
            " image_id, or give a text file with one id per line"
        )
    return rows.select(pl.col("image_id").cast(pl.String)).collect()["image_id"].drop_nulls()


def _lines(file: Path) -> pl.Series:
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return pl.Series("image_id", [line for line in lines if line], dtype=pl.String)
