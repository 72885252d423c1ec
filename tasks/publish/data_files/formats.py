"""The formats of a dataset: Parquet for `datasets`, plain Parquet, and tar shards."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

import polars as pl

from ....data.errors import ConfigError
from .parquet_file import HubParquetFile, PlainParquetFile
from .tar_shard import TarShard, read_shard

Format = Literal["hf", "parquet", "webdataset"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
TAR: Final = ".tar"


class DataFile(AbstractContextManager["DataFile"], Protocol):
    """A data file that is written portion by portion."""

    def write(self, raw_by_id: dict[str, bytes], rows: pl.DataFrame) -> None:
        """Append images, in the order of their rows."""


def known_format(name: str) -> Format:
    """Return a format by its name.

    Raises:
        ConfigError: There is no such format.
    """
    for known in FORMATS:
        if name == known:
            return known
    raise ConfigError(f"format {name!r} is unknown; allowed: {', '.join(FORMATS)}")


def suffix_of(format: Format) -> str:  # noqa: A002 - the name of the command's flag
    """Return the suffix of the data files of a format, with its dot."""
    return TAR if format == "webdataset" else ".parquet"


def new_file(
    file: Path,
    format: Format,  # noqa: A002
    embedding_size: int | None = None,
) -> DataFile:
    """Return a new data file.

    Args:
        file: File to write.
        format: Format of the dataset.
        embedding_size: Number of values per embedding; None for a dataset without embeddings.

    Raises:
        OSError: The file cannot be written.
    """
    if format == "webdataset":
        return TarShard(file)
    kind = HubParquetFile if format == "hf" else PlainParquetFile
    return kind(file, embedding_size)


def rows_of_file(
    file: Path | str,
    columns: Sequence[str] | None = None,
    storage_options: dict[str, str] | None = None,
) -> pl.DataFrame:
    """Return the rows of a data file without the images' bytes, with the split of its name.

    Args:
        file: Data file of a published dataset, of any format; the address of a Parquet file in an
            object store.
        columns: Names of the columns beside `split`; None for all.
        storage_options: Settings of the object store.

    Raises:
        OSError: The file cannot be read.
    """
    name = str(file).rpartition("/")[2]
    if name.endswith(TAR):
        rows = read_shard(Path(file)).lazy()
    else:
        # Without patterns: brackets in the name of a folder are its own.
        rows = pl.scan_parquet(file, glob=False, storage_options=storage_options).drop("image")
    if columns is not None:
        rows = rows.select(columns)
    return rows.with_columns(split=pl.lit(name.partition("-")[0])).collect()
