"""Parquet files of a lake, read by the calling thread alone.

Arrow reads ahead and decodes in threads of its own, unless asked not to. One that still holds a
file or bytes of Python while the process ends aborts it, with exit code 134 after all messages: 5
of 30 short processes that read one image of a shard on S3.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from .files import Store


class ParquetReader:
    """Reader of one Parquet file.

    Args:
        source: Open file, or bytes of a file.
        verify: Whether to compare the checksums of pages.

    Raises:
        OSError, ValueError, pa.ArrowException: The file is not Parquet; its methods raise the same
            if it cannot be decoded.
    """

    def __init__(self, source: pa.NativeFile | bytes, *, verify: bool = False) -> None:
        self._file = pq.ParquetFile(
            io.BytesIO(source) if isinstance(source, bytes) else source,
            pre_buffer=False,
            page_checksum_verification=verify,
        )
        self.schema: pa.Schema = self._file.schema_arrow
        self.metadata: pq.FileMetaData = self._file.metadata

    def group(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of a row group; all columns if none are named."""
        names = None if columns is None else list(columns)
        return self._file.read_row_group(number, columns=names, use_threads=False)

    def groups(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of one row group after the other; all columns if none are named."""
        for number in range(self.metadata.num_row_groups):
            yield self.group(number, columns)

    def rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows; all columns if none are named."""
        # `read_table` goes by datasets, which read in a thread whatever is asked.
        names = None if columns is None else list(columns)
        return self._file.read(columns=names, use_threads=False)

    def close(self) -> None:
        """Close the file, also one that the caller has opened."""
        self._file.close(force=True)


@contextlib.contextmanager
def open_parquet(store: Store, name: str) -> Iterator[ParquetReader]:
    """Open a Parquet file of a store.

    Args:
        store: Store of the file.
        name: Name of the file in the store.

    Raises:
        OSError, ValueError, pa.ArrowException: The file is missing, cannot be read, or is not
            Parquet.
    """
    with store.open_input(name) as opened:
        yield ParquetReader(opened)
