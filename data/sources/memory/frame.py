"""A frame of polars, pandas or pyarrow as rows of a source: its image, label and domain columns.

The columns are found as in Parquet files. Only these are converted to Arrow; columns of Pillow
images and arrays, which Arrow does not hold, are read as Python objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from ...errors import InputError
from ..arrow_rows import value_of
from ..columns import choose_column, column_named, tag_columns, tags_in
from ..items import Item, SourceOptions
from ..parquet import class_names_of, image_column_of
from .cells import (
    CellAddress,
    Digests,
    bytes_of_cell,
    check_cell,
    digest_of_cell,
    is_image,
    items_in,
)
from .held_rows import row_uri

_ROWS_SEEN: Final = 64


@dataclass(frozen=True, slots=True)
class ArrowAddress:
    """Address of a cell in a column of Arrow; `part` indexes a list in it."""

    column: pa.ChunkedArray
    row: int
    part: int | None = None

    def read(self, options: SourceOptions) -> bytes:
        """Return the bytes in the cell, or the bytes that it refers to.

        Raises:
            UnreadableImage: The cell has no image, or the image is too large.
        """
        return bytes_of_cell(value_of(self.column[self.row]), self.part, options)

    def __reduce__(self) -> tuple[type[CellAddress], tuple[Any, int | None]]:
        # Another process gets the cell alone, not the column.
        return CellAddress, (value_of(self.column[self.row]), self.part)


class FrameRows:
    """Rows of a frame.

    Args:
        frame: Frame or series of polars, pandas or pyarrow, or another object with the Arrow
            stream interface.
        name: Name in the addresses of the items.
        options: Settings of listing and reading.

    Raises:
        InputError: There is no image column or several, a requested column is missing, or an array
            is no image of 8 bits per channel.
    """

    def __init__(self, frame: object, name: str, options: SourceOptions) -> None:
        where = f"the {name}"
        columns = _columns_of(frame, where)
        self.name = name
        schema = pa.schema([(key, column.kind) for key, column in columns.items()])
        if isinstance(metadata := getattr(getattr(frame, "schema", None), "metadata", None), dict):
            schema = schema.with_metadata(metadata)
        self._column = columns[_image_column(columns, schema, options, where)].values()
        self._tags = tag_columns(list(columns), options, where)
        self._tag_values = {key: columns[key].values() for key in set(self._tags) if key}
        label = self._tags[0]
        self._class_names = class_names_of(schema, label) if label else ()
        if isinstance(self._column, list):
            for row, cell in enumerate(self._column):
                check_cell(cell, f"{name}[{row}]")
        hashes = (digest_of_cell(self._cell(row), options) for row in range(len(self)))
        self._digests = Digests(hashes)
        self.digest = self._digests.of_all()

    def __len__(self) -> int:
        return len(self._column)

    def items(self, options: SourceOptions) -> Iterator[Item]:
        """Yield the items of the frame: one per row, or one per image of a list."""
        column = self._column
        for row in range(len(self)):
            holder = None
            if isinstance(column, pa.ChunkedArray):

                def holder(part: int | None, row: int = row) -> ArrowAddress:
                    return ArrowAddress(column, row, part)

            yield from items_in(
                row_uri(self.name, row),
                self._cell(row),
                self._fields(row, options),
                options,
                fingerprint=self._digests[row],
                holder=holder,
            )

    def _cell(self, row: int) -> Any:
        return _value(self._column[row])

    def _fields(self, row: int, options: SourceOptions) -> dict[str, object]:
        """Return label and domain of a row, under the keys that `labelling.tags_of` reads."""
        values: dict[str, Any] = {k: _value(v[row]) for k, v in self._tag_values.items()}
        label = self._tags[0]
        if label and self._class_names and isinstance(number := values[label], int):
            is_class = 0 <= number < len(self._class_names)
            values[label] = self._class_names[number] if is_class else None
        return tags_in(values, self._tags, options)


class _Column:
    """A column: its Arrow type, and its values, converted when they are needed.

    Attributes:
        kind: Type of its values; null for images, which Arrow does not hold.
        is_objects: Whether it holds Python objects, which are not copied.
    """

    def __init__(self, kind: pa.DataType, values: Any, *, is_objects: bool = False) -> None:
        self.kind = kind
        self.is_objects = is_objects
        self._values = values

    @property
    def holds_images(self) -> bool:
        """Whether it holds images in memory."""
        return self.is_objects and pa.types.is_null(self.kind)

    def values(self) -> Any:
        """Return the values: a chunked array, or a list of Python objects."""
        if self.is_objects:
            return list(self._values)
        if isinstance(self._values, pa.ChunkedArray):
            return self._values
        return pa.chunked_array([pa.Array.from_pandas(self._values)])


def _value(cell: Any) -> Any:
    return value_of(cell) if isinstance(cell, pa.Scalar) else cell


def _image_column(
    columns: Mapping[str, _Column], schema: pa.Schema, options: SourceOptions, where: str
) -> str:
    holding = [key for key, column in columns.items() if column.holds_images]
    if options.image_column is not None:
        return column_named(list(columns), options.image_column, where)
    if len(holding) == 1:
        return holding[0]
    if holding:
        return choose_column(holding, None, where)
    return image_column_of(schema, options, where)


def _columns_of(frame: Any, where: str) -> dict[str, _Column]:
    """Return the columns of a frame by name.

    Raises:
        InputError: The frame has two columns of the same name.
    """
    root = type(frame).__module__.partition(".")[0]
    if root == "polars":
        return _of_polars(frame)
    if hasattr(frame, "dtypes") or hasattr(frame, "iloc"):
        return _of_pandas(frame, where)
    if isinstance(frame, pa.Array | pa.ChunkedArray):
        frame = pa.table({"image": frame})
    table = frame if isinstance(frame, pa.Table) else pa.table(frame)
    if len(set(table.column_names)) < table.num_columns:
        raise InputError(f"{where} has two columns of the same name; rename one of them")
    return {
        name: _Column(column.type, column)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _of_polars(frame: Any) -> dict[str, _Column]:
    columns = {}
    for series in frame.get_columns() if hasattr(frame, "get_columns") else [frame]:
        if str(series.dtype).startswith("Object"):
            columns[series.name] = _of_objects(series.to_list())
        else:
            values = series.to_arrow()
            columns[series.name or "image"] = _Column(values.type, values)
    return columns


def _of_pandas(frame: Any, where: str) -> dict[str, _Column]:
    all_series = [frame] if frame.ndim == 1 else [frame.iloc[:, n] for n in range(frame.shape[1])]
    columns: dict[str, _Column] = {}
    for series in all_series:
        name = "image" if series.name is None else str(series.name)
        if name in columns:
            raise InputError(f'{where} has two columns "{name}"; rename one of them')
        if str(series.dtype) == "object":
            columns[name] = _of_objects(series)
        else:
            columns[name] = _Column(_kind_of(series.head(_ROWS_SEEN)), series)
    return columns


def _of_objects(values: Any) -> _Column:
    """Return a column of Python objects; its type is that of its first values."""
    first = []
    for value in values:
        if value is not None:
            first.append(value)
        if len(first) == _ROWS_SEEN:
            break
    if any(
        is_image(value) or (isinstance(value, list) and any(map(is_image, value)))
        for value in first
    ):
        return _Column(pa.null(), values, is_objects=True)
    kind = _kind_of(first)
    return _Column(pa.string() if pa.types.is_null(kind) else kind, values, is_objects=True)


def _kind_of(values: Any) -> pa.DataType:
    """Return the Arrow type of some values; text for several types, such as texts and paths."""
    try:
        return pa.array(values, from_pandas=True).type
    except (pa.ArrowException, TypeError, ValueError):
        return pa.string()
