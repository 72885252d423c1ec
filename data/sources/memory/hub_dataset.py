"""A `datasets.Dataset` of Hugging Face as rows of a source; its images stay on disk until read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ..arrow_rows import rows_of, value_of
from ..cells import folders_of
from ..columns import tag_columns, tags_in
from ..items import Item, SourceOptions
from ..labelling import tags_of
from ..lists.listed_rows import digest
from ..parquet import class_names_of, image_column_of
from ..uris import stamp_of
from .cells import CellAddress, bytes_of_cell, items_in
from .held_rows import row_uri

_ROWS_AT_A_TIME: Final = 4096
# Of a column whose bytes are read to count the images of a row.
_LIST_ROWS_AT_A_TIME: Final = 16


@dataclass(frozen=True, slots=True)
class DatasetAddress:
    """Address of a cell in a dataset whose rows are Arrow tables; `part` indexes a list in it."""

    rows: Any
    row: int
    part: int | None = None

    def read(self, options: SourceOptions) -> bytes:
        """Return the bytes in the cell, or the bytes that it refers to.

        Raises:
            UnreadableImage: The cell has no image, or the image is too large.
        """
        return bytes_of_cell(self._cell(), self.part, options)

    def __reduce__(self) -> tuple[type[CellAddress], tuple[Any, int | None]]:
        # Another process gets the cell alone, not the dataset.
        return CellAddress, (self._cell(), self.part)

    def _cell(self) -> Any:
        return value_of(self.rows[self.row].column(0)[0])


class DatasetRows:
    """Rows of a dataset.

    The dataset's own fingerprint stands for the content of its rows, so that listing them does not
    read the images. Files that rows name by an absolute path are checked for changes.

    Args:
        dataset: `datasets.Dataset`.
        name: Name in the addresses of the items.
        options: Settings of listing and reading.

    Raises:
        InputError: There is no image column or several, or a requested column is missing.
    """

    def __init__(self, dataset: Any, name: str, options: SourceOptions) -> None:
        where = "the dataset"
        schema = dataset.features.arrow_schema
        self.name = name
        self._dataset = dataset.with_format("arrow")
        self._column = image_column_of(schema, options, where)
        self._tags = tag_columns(schema.names, options, where)
        self._class_names = class_names_of(schema, self._tags[0] or "")
        self._mark = str(dataset._fingerprint)
        self._kind = schema.field(self._column).type
        self.digest = digest(f"{self._mark} {self._column} {len(dataset)}".encode())

    def __len__(self) -> int:
        return len(self._dataset)

    def items(self, options: SourceOptions) -> Iterator[Item]:
        """Yield the items of the dataset: one per row, or one per image of a list."""
        rows = self._dataset.select_columns([self._column])
        for row, (fields, cell) in enumerate(
            zip(self._fields(options), self._cells(), strict=True)
        ):
            uri = row_uri(self.name, row)
            fingerprint = digest(f"{self._mark} {row}{_stamp(cell)}".encode())

            def holder(part: int | None, row: int = row) -> DatasetAddress:
                return DatasetAddress(rows, row, part)

            if isinstance(cell, _Unread):
                folders = folders_of(cell.path) if cell.path else ()
                tags = tags_of(options, folders=folders, fields=fields)
                yield Item(
                    source_uri=uri,
                    fingerprint=fingerprint,
                    label=tags.label,
                    domain=tags.domain,
                    note=tags.note,
                    address=holder(None),
                )
            else:
                yield from items_in(
                    uri, cell, fields, options, fingerprint=fingerprint, holder=holder
                )

    def _fields(self, options: SourceOptions) -> Iterator[Mapping[str, object]]:
        """Yield label and domain of each row, under the keys that `labelling.tags_of` reads."""
        label = self._tags[0]
        names = sorted({name for name in self._tags if name})
        if not names:
            yield from ({} for _ in range(len(self)))
            return
        for batch in _batches(self._dataset.select_columns(names), _ROWS_AT_A_TIME):
            for values in batch:
                if label and self._class_names and isinstance(number := values[label], int):
                    is_class = 0 <= number < len(self._class_names)
                    values[label] = self._class_names[number] if is_class else None
                yield tags_in(values, self._tags, options)

    def _cells(self) -> Iterator[object]:
        """Yield the cell of each row if it is small, else what is known of it without its bytes."""
        kind = self._kind
        column = self._dataset.select_columns([self._column])
        if pa.types.is_struct(kind):
            if kind.get_field_index("path") < 0:
                yield from (_Unread(None) for _ in range(len(self)))
                return
            for start in range(0, len(self), _ROWS_AT_A_TIME):
                part = column[start : start + _ROWS_AT_A_TIME].column(0)
                yield from map(_Unread, pc.struct_field(part, "path").to_pylist())
        elif str(kind) in {"binary", "large_binary", "binary_view"}:
            yield from (_Unread(None) for _ in range(len(self)))
        else:
            is_text = str(kind) in {"string", "large_string", "string_view"}
            at_a_time = _ROWS_AT_A_TIME if is_text else _LIST_ROWS_AT_A_TIME
            for batch in _batches(column, at_a_time):
                yield from (row[self._column] for row in batch)


@dataclass(frozen=True, slots=True)
class _Unread:
    """A cell with bytes that are read later; `path` is the file's name or path, if it has one."""

    path: str | None


def _batches(dataset: Any, n_rows: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(dataset), n_rows):
        table = dataset[start : start + n_rows]
        yield [row for batch in table.to_batches() for row in rows_of(batch)]


def _stamp(cell: object) -> str:
    """Return size and time of the file that a cell names by an absolute path; "" for none."""
    path = cell.path if isinstance(cell, _Unread) else cell
    if not isinstance(path, str) or not os.path.isabs(path):  # noqa: PTH117 - any text
        return ""
    try:
        return f" {stamp_of(os.stat(path))}"  # noqa: PTH116 - any text
    except (OSError, ValueError):
        return ""
