"""The Parquet files of a published dataset, for `datasets` or for any reader."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ..rows import features, with_label_text


class _ParquetFile:
    """A Parquet file with one row group per portion."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._schema = schema
        leaves = [leaf.path for leaf in pq.ParquetFile(_empty(schema)).schema]
        facts = [leaf for leaf in leaves if leaf.partition(".")[0] != "image"]
        self._writer = pq.ParquetWriter(
            file,
            schema,
            # JPEG, PNG and WebP do not compress further; statistics of image bytes only bloat.
            compression={
                leaf: "none" if leaf in {"image", "image.bytes"} else "zstd" for leaf in leaves
            },
            write_statistics=facts,
            use_dictionary=[leaf for leaf in facts if not leaf.startswith("embedding.")],
            write_page_index=True,
            use_content_defined_chunking=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._writer.close()

    def _append(self, images: pa.Array, rows: pl.DataFrame) -> None:
        others = rows.select(*self._schema.names[1:]).to_arrow().columns
        columns = [
            column.cast(field.type)
            for column, field in zip([images, *others], self._schema, strict=True)
        ]
        table = pa.table(columns, schema=self._schema)
        self._writer.write_table(table, row_group_size=len(images))


class HubParquetFile(_ParquetFile):
    """A Parquet file with the features of `datasets` in its metadata."""

    def __init__(self, file: Path, embedding_size: int | None = None) -> None:
        super().__init__(file, features(embedding_size).arrow_schema)

    def write(self, raw_by_id: dict[str, bytes], rows: pl.DataFrame) -> None:
        """Append images as one row group, in the order of their rows."""
        images = [
            {"bytes": raw, "path": path}
            for raw, path in zip(raw_by_id.values(), rows["path"], strict=True)
        ]
        self._append(pa.array(images, self._schema.field("image").type), rows)


class PlainParquetFile(_ParquetFile):
    """A Parquet file with images as binary, labels as text, and the split in each row."""

    def __init__(self, file: Path, embedding_size: int | None = None) -> None:
        super().__init__(file, plain_schema(embedding_size))

    def write(self, raw_by_id: dict[str, bytes], rows: pl.DataFrame) -> None:
        """Append images as one row group, in the order of their rows."""
        images = pa.array(list(raw_by_id.values()), pa.binary())
        self._append(images, with_label_text(rows))


def plain_schema(embedding_size: int | None = None) -> pa.Schema:
    """Return the columns of plain Parquet: those of `features`, and `split` behind the id."""
    kinds = {"image": pa.binary(), "label": pa.string()}
    fields = [
        pa.field(field.name, kinds.get(field.name, field.type))
        for field in features(embedding_size).arrow_schema
    ]
    return pa.schema([*fields[:2], pa.field("split", pa.string()), *fields[2:]])


def _empty(schema: pa.Schema) -> pa.BufferReader:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    return pa.BufferReader(sink.getvalue())
