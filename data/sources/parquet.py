"""Images in Parquet files: paths, URLs or bytes, including Hugging Face's datasets.

Each row is an item: `parquet:///a/x.parquet!17` is the eighteenth. In a row with a list of images
each image is an item: `parquet:///a/x.parquet!17/0` is the first. Listing reads only the small
columns; images are read later, a few rows at a time.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import InputError, UnreadableImage
from ..images.limits import too_many_bytes
from ..object_addresses import folder_of, is_object
from ..text.wording import counted
from ..vocabulary import Reason
from .arrow_rows import rows_of, value_of
from .buckets.object_file import object_file
from .buckets.open_file import file_stamp
from .cells import folders_of, locate
from .columns import BYTE_COLUMNS, choose_column, tag_columns, tags_in
from .handles import Handles
from .items import Item, SourceOptions, bad_item
from .labelling import tags_of
from .lists.listed_rows import items_of_cell
from .uris import member_uri

_DAMAGE: Final = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError)
_LIST_ROWS: Final = 4096
_READ_ROWS: Final = 8
_KEPT_BYTES: Final = 32 * 2**20
# Each step is a request.
_OBJECT_STEP_BYTES: Final = 8 * 2**20


def _open(path: str) -> pq.ParquetFile:
    # Without a buffer whole column chunks, possibly gigabytes, are read at once.
    if is_object(path):
        return pq.ParquetFile(
            pa.PythonFile(object_file(path)), buffer_size=_OBJECT_STEP_BYTES, pre_buffer=False
        )
    return pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False)


class _Cursor:
    """Reader of the cells of one column in one row group, fast if rows roughly increase."""

    def __init__(self, path: str, row_group: int, column: str) -> None:
        self._path, self._row_group, self._column = path, row_group, column
        self._lock = threading.Lock()
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._kept: OrderedDict[int, pa.Array] = OrderedDict()
        self._n_read = self._n_kept_bytes = 0

    def cell(self, row: int) -> pa.Scalar:
        """Return the cell of a row, counted within the row group.

        Raises:
            Exception: An exception of `_DAMAGE` for damaged data.
        """
        with self._lock:
            first = row - row % _READ_ROWS
            if first not in self._kept and (self._batches is None or row < self._n_read):
                self._restart()
            while first not in self._kept:
                self._advance()
            return self._kept[first][row - first]

    def _restart(self) -> None:
        file = _open(self._path)
        self._kept.clear()
        self._n_read = self._n_kept_bytes = 0
        self._batches = file.iter_batches(
            _READ_ROWS, row_groups=[self._row_group], columns=[self._column], use_threads=False
        )

    def _advance(self) -> None:
        if self._batches is None:
            raise ValueError("nothing is open")
        try:
            batch = next(self._batches)
        except StopIteration:
            raise ValueError("the row group has fewer rows than its metadata states") from None
        except BaseException:
            self._batches = None
            raise
        self._kept[self._n_read] = batch.column(0)
        self._n_read += batch.num_rows
        self._n_kept_bytes += batch.nbytes
        while self._n_kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._n_kept_bytes -= self._kept.popitem(last=False)[1].nbytes


_cursors: Final[Handles[_Cursor]] = Handles()


@dataclass(frozen=True, slots=True)
class ParquetAddress:
    """Address of a cell by row group, row in the group, and column; `part` indexes a list in it."""

    path: str
    row_group: int
    row: int
    column: str
    part: int | None = None

    def read(self, options: SourceOptions) -> bytes:
        """Return the bytes in the cell, or the bytes that the cell refers to.

        Raises:
            UnreadableImage: The file is missing or damaged, the cell has no image, or the image is
                too large.
        """
        try:
            key = (self.path, file_stamp(self.path), self.row_group, self.column)
            cursor = _cursors.get(key, lambda: _Cursor(self.path, self.row_group, self.column))
            scalar = cursor.cell(self.row)
            cell = value_of(scalar if self.part is None else scalar[self.part])
        except FileNotFoundError as error:
            raise UnreadableImage(Reason.NOT_FOUND, "the Parquet file was removed") from error
        except _DAMAGE as error:
            detail = f"damage in the Parquet file: {error or type(error).__name__}"
            raise UnreadableImage(Reason.UNREADABLE, detail) from error
        place = locate(cell, folder_of(self.path), options)
        if place.address is not None:
            return place.address.read(options)
        raw = place.raw or b""
        if len(raw) > options.limits.max_bytes:
            raise too_many_bytes(len(raw), options.limits)
        return raw


def require_parquet(
    path: str, options: SourceOptions, *, more: Mapping[str, object] | None = None
) -> None:
    """Refuse a file without an image column or without a requested column.

    Args:
        path: Path of the Parquet file.
        options: Settings of listing; columns are used.
        more: Columns given by the file's folder, see `list_parquet`.

    Raises:
        InputError: The file is not readable, or a column is missing or ambiguous.
    """
    try:
        schema = _open(path).schema_arrow
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable Parquet file: {error}") from error
    image_column_of(schema, options, path)
    tag_columns([*schema.names, *_without(more or {}, schema)], options, path)


def image_column_of(schema: pa.Schema, options: SourceOptions, where: str) -> str:
    """Return the column with images.

    It is the requested column, else Hugging Face's first Image feature, else the most likely
    column by name and type, else the only column of bytes.

    Raises:
        InputError: There is no such column, or two names differ by case only.
    """
    names = list(schema.names)
    if options.image_column is not None:
        return choose_column(names, options.image_column, where)
    features = features_of(schema)
    for name in names:
        if _is_image_feature(features.get(name)):
            return str(name)
    of_bytes = [name for name in names if _is_bytes(schema.field(names.index(name)).type)]
    for name in BYTE_COLUMNS:
        if named := [found for found in of_bytes if found.strip().lower() == name]:
            return str(named[0])

    def holds(name: str) -> bool:
        return _may_hold_images(schema.field(names.index(name)).type)

    try:
        column = choose_column(names, None, where, holds=holds)
    except InputError:
        if len(of_bytes) == 1:
            return str(of_bytes[0])
        raise
    return str(of_bytes[0]) if len(of_bytes) == 1 and not holds(column) else column


def _is_image_feature(feature: Any) -> bool:
    """Return whether a feature of the `datasets` library is Image or a list of Image."""
    while isinstance(feature, list | dict) and feature:
        if isinstance(feature, list):
            feature = feature[0]
        elif feature.get("_type") in {"List", "LargeList", "Sequence"}:
            feature = feature.get("feature")
        else:
            return feature.get("_type") == "Image"
    return False


def _element(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's cells, or of their elements if they are lists."""
    if pa.types.is_dictionary(kind):
        return _element(kind.value_type)
    return kind.value_type if _is_list(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    """Return whether cells are lists of images; a list of integers is the bytes of one image."""
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ) and not pa.types.is_integer(kind.value_type)


def _is_bytes(kind: pa.DataType) -> bool:
    inner = _element(kind)
    if pa.types.is_struct(inner):
        return any(
            field.name.lower() in {"bytes", *BYTE_COLUMNS} and _is_bytes(field.type)
            for field in inner
        )
    return str(inner) in {"binary", "large_binary", "binary_view"}


def _may_hold_images(kind: pa.DataType) -> bool:
    inner = _element(kind)
    return (
        _is_bytes(kind)
        or str(inner) in {"string", "large_string", "string_view"}
        or pa.types.is_struct(inner)
        or pa.types.is_fixed_size_binary(inner)
        or (inner is kind and hasattr(kind, "value_type") and not _is_list(kind))
    )


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """Return the features of the `datasets` library in a schema's metadata; {} without them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (LookupError, ValueError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def class_names_of(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """Return the class names of a ClassLabel column; () for other columns."""
    feature = features_of(schema).get(column)
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def list_parquet(
    path: str,
    options: SourceOptions,
    *,
    more: Mapping[str, object] | None = None,
    folders: tuple[str, ...] = (),
) -> Iterator[Item]:
    """Yield the items of a Parquet file, row by row; a damaged row group is one item.

    Args:
        path: Path of the Parquet file.
        options: Settings of listing and reading.
        more: Values of all rows by column, such as Hive partitions in the file's path.
        folders: Names of the folders above the file; folders named in rows are nearer.
    """
    reader = _Reader(path, options, dict(more or {}), folders)
    first = 0
    for group in range(reader.file.metadata.num_row_groups):
        n_rows = reader.file.metadata.row_group(group).num_rows
        done = 0
        try:
            for row in reader.rows(group, n_rows):
                uri = member_uri("parquet", path, str(first + done))
                yield from reader.items(uri, row, group, done)
                done += 1
        except _DAMAGE as error:
            yield bad_item(
                member_uri("parquet", path, str(first + done), mark="damaged"),
                Reason.UNREADABLE,
                f"{counted(n_rows - done, 'row is', 'rows are')} unreadable:"
                f" {error or type(error).__name__}",
                fingerprint=reader.stamp,
            )
        first += n_rows


def _without(more: Mapping[str, object], schema: pa.Schema) -> dict[str, object]:
    """Return the values given by the file's folder, without columns that the file has itself."""
    own = {name.strip().lower() for name in schema.names}
    return {key: value for key, value in more.items() if key.strip().lower() not in own}


class _Reader:
    """Reader of the rows of a Parquet file, with its columns chosen."""

    def __init__(
        self,
        path: str,
        options: SourceOptions,
        more: dict[str, object],
        folders: tuple[str, ...],
    ) -> None:
        self.path, self.options, self._folders = path, options, folders
        self.file = _open(path)
        schema = self.file.schema_arrow
        self._more = more = _without(more, schema)
        names = list(schema.names)
        self.column = image_column_of(schema, options, path)
        self.stamp = file_stamp(path)
        self._tags = tag_columns([*names, *more], options, path)
        self._class_names = class_names_of(schema, self._tags[0] or "")
        kind = schema.field(names.index(self.column)).type
        inner = _element(kind)
        self._is_list = _is_list(kind)
        self._points = not _is_bytes(kind) and str(inner) in {
            *("string", "large_string", "string_view")
        }
        has_path = pa.types.is_struct(inner) and inner.get_field_index("path") >= 0
        # Light columns: they give number and location of a row's images without the bytes.
        self._has_light = self._points or has_path
        self._is_heavy = self._is_list and not self._has_light
        light = {name for name in self._tags if name in names} - {self.column}
        self._columns = sorted(map(str, light))
        if has_path:
            self._columns += _leaves(self.file, f"{self.column}.", ".path")
        elif self._points or self._is_heavy:
            self._columns.append(self.column)

    def rows(self, group: int, n_rows: int) -> Iterator[dict[str, Any]]:
        """Yield the rows of a row group, small columns only."""
        if not self._columns:
            for _ in range(n_rows):
                yield {}
            return
        for batch in self.file.iter_batches(
            _READ_ROWS if self._is_heavy else _LIST_ROWS,
            row_groups=[group],
            columns=self._columns,
            use_threads=False,
        ):
            if not self._is_heavy:
                yield from rows_of(batch)
                continue
            # The lengths of the lists suffice; the images are not read.
            at = batch.schema.get_field_index(self.column)
            lengths = pc.list_value_length(batch.column(at)).to_pylist()
            rows = rows_of(batch.drop_columns([self.column])) or [{} for _ in lengths]
            for row, length in zip(rows, lengths, strict=True):
                yield row | {self.column: None if length is None else [b""] * length}

    def items(self, uri: str, row: dict[str, Any], group: int, at: int) -> Iterator[Item]:
        """Yield the items of one row."""
        label, _ = self._tags
        if label is not None and self._class_names and isinstance(row.get(label), int):
            row[label] = _class_of(self._class_names, row[label])
        fields = tags_in(self._more | row, self._tags, self.options)
        address = partial(ParquetAddress, self.path, group, at, self.column)
        cell = row.get(self.column)
        if self._points:
            base = folder_of(self.path)
            yield from items_of_cell(uri, cell, fields, base, self.options, holder=address)
        elif not self._is_list:
            yield self._item(uri, cell, fields, address())
        elif not cell:
            tags = tags_of(self.options, fields=fields)
            yield bad_item(uri, Reason.BAD_ROW, "a list without an image", tags=tags)
        else:
            for part, inner in enumerate(cell):
                yield self._item(f"{uri}/{part}", inner, fields, address(part))

    def _item(
        self, uri: str, cell: Any, fields: Mapping[str, object], address: ParquetAddress
    ) -> Item:
        """Return an item with its image in the file; a struct may also refer to another file."""
        path = cell.get("path") if isinstance(cell, dict) else None
        folders = (*self._folders, *(folders_of(path) if isinstance(path, str) else ()))
        tags = tags_of(self.options, folders=folders, fields=fields)
        return Item(
            source_uri=uri,
            fingerprint=self.stamp,
            label=tags.label,
            domain=tags.domain,
            note=tags.note,
            address=address,
        )


def _leaves(file: pq.ParquetFile, start: str, end: str) -> list[str]:
    """Return the paths of leaf columns with the given start and end."""
    schema = file.schema
    paths = [schema.column(number).path for number in range(len(schema))]
    return [path for path in paths if path.startswith(start) and path.endswith(end)]


def _class_of(names: tuple[str, ...], number: int) -> str | None:
    """Return the class name of an index; None for -1 (unlabelled) and out-of-range indices."""
    return names[number] if 0 <= number < len(names) else None
