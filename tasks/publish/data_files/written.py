"""The facts of a written data file: what the lock and the card state, and the check for leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow.parquet as pq

from ....data.errors import GateRefused
from ..splits import find_leaks
from .formats import Format, rows_of_file

_LEAK_COLUMNS: Final = ("image_id", "group_id", "phash", "synthetic_parent_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A data file as it was read back.

    Attributes:
        name: Name below the folder of the dataset.
        sha256: Hash of the file, 64 hex digits.
        n_bytes: Size in bytes.
        n_uncompressed_bytes: Uncompressed size in bytes, as Parquet counts it; None for others.
        rows: Columns image_id, group_id, phash, synthetic_parent_id and split.
    """

    name: str
    sha256: str
    n_bytes: int
    n_uncompressed_bytes: int | None
    rows: pl.DataFrame

    @property
    def split(self) -> str:
        """Split of the images."""
        return self.name.rpartition("/")[2].partition("-")[0]


def read_back(folder: Path, name: str, format: Format) -> WrittenFile:  # noqa: A002
    """Read a data file back.

    Args:
        folder: Folder of the dataset.
        name: Name of the file below it.
        format: Format of the dataset.

    Raises:
        OSError: The file cannot be read.
    """
    file = folder / name
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return WrittenFile(
        name=name,
        sha256=digest,
        n_bytes=file.stat().st_size,
        n_uncompressed_bytes=None if format == "webdataset" else _n_uncompressed_bytes(file),
        rows=rows_of_file(file, _LEAK_COLUMNS),
    )


def refuse_leaks(files: Sequence[WrittenFile]) -> None:
    """Refuse a dataset with near-duplicates, or an image and its parent, in different splits.

    Raises:
        GateRefused: The files have leaks.
    """
    rows = pl.concat(file.rows for file in files)
    leaks = find_leaks(rows.rename({"synthetic_parent_id": "parent_id"}))
    if leaks:
        raise GateRefused(
            f"not published, since images would leak between splits: {'; '.join(leaks)}; "
            "this is a bug in the grouping, please report it"
        )


def _n_uncompressed_bytes(file: Path) -> int:
    metadata = pq.read_metadata(file)
    groups = range(metadata.num_row_groups)
    return sum(metadata.row_group(group).total_byte_size for group in groups)
