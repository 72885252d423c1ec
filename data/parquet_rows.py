"""Pictures in Parquet files: paths, URLs or bytes, Hugging Face's data sets among them.

A row is one item, `parquet:///a/x.parquet!17` the eighteenth. Listing reads the small
columns only; pictures are read when their turn comes, a few rows at a time.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import InputError, UnreadableImage
from .handles import Handles
from .items import Item, SourceOptions, bad_item, column_of
from .labelling import tags_of
from .listings import item_of_row
from .locating import choose_column, locate, require_column
from .naming import member_uri, stamp_of
from .opening import too_many_bytes
from .schema import Reason

_DAMAGE: Final = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError)
_LIST_ROWS: Final = 4096
_READ_ROWS: Final = 8
_KEPT_BYTES: Final = 32 * 2**20


def _open(path: str) -> pq.ParquetFile:
    # Without a buffer whole column chunks are read at once, which may be gigabytes.
    return pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False)


class _Cursor:
    """Cells of one column of one row group, cheap when asked for roughly in order."""

    def __init__(self, path: str, row_group: int, column: str) -> None:
        self._path, self._row_group, self._column = path, row_group, column
        self._lock = threading.Lock()
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._kept: OrderedDict[int, pa.Array] = OrderedDict()
        self._n_read = self._n_kept_bytes = 0

    def cell(self, row: int) -> pa.Scalar:
        """The cell of a row of the row group; raises what Arrow raises."""
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
            raise ValueError("the row group has fewer rows than it says") from None
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
    """A cell by row group, row in it, and column."""

    path: str
    row_group: int
    row: int
    column: str

    def read(self, options: SourceOptions) -> bytes:
        """The bytes in the cell, or those that the cell points to."""
        try:
            key = (self.path, stamp_of(Path(self.path).stat()), self.row_group, self.column)
            cursor = _cursors.get(key, lambda: _Cursor(self.path, self.row_group, self.column))
            cell = cursor.cell(self.row).as_py()
        except FileNotFoundError as error:
            raise UnreadableImage(Reason.NOT_FOUND, "the Parquet file is gone") from error
        except _DAMAGE as error:
            detail = f"damaged in the Parquet file: {error or type(error).__name__}"
            raise UnreadableImage(Reason.UNREADABLE, detail) from error
        place = locate(cell, str(Path(self.path).parent), options)
        if place.address is not None:
            return place.address.read(options)
        raw = place.raw or b""
        if len(raw) > options.limits.max_bytes:
            raise too_many_bytes(len(raw), options.limits)
        return raw


def require_parquet(path: str, options: SourceOptions) -> None:
    """Raises `InputError` unless the file has a column of pictures and those asked for."""
    try:
        schema = _open(path).schema_arrow
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable Parquet file: {error}") from error
    image_column_of(schema, options, path)
    for asked in (options.label_from, options.domain_from):
        require_column(schema.names, column_of(asked), path)


def image_column_of(schema: pa.Schema, options: SourceOptions, where: str) -> str:
    """The column asked for, else Hugging Face's first Image feature, else the likeliest name."""
    if options.image_column is None:
        for name, feature in features_of(schema).items():
            if (
                name in schema.names
                and isinstance(feature, dict)
                and feature.get("_type") == "Image"
            ):
                return name
    return choose_column(schema.names, options.image_column, where)


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """The features that the `datasets` library keeps in a schema's metadata; empty without."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (LookupError, ValueError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def class_names_of(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """The names behind the numbers of a ClassLabel column; empty for other columns."""
    feature = features_of(schema).get(column)
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def list_parquet(path: str, options: SourceOptions) -> Iterator[Item]:
    """The items of a Parquet file, row by row; a damaged row group is one item that says so."""
    file = _open(path)
    schema = file.schema_arrow
    column = image_column_of(schema, options, path)
    label_column = column_of(options.label_from) or "label"
    class_names = class_names_of(schema, label_column)
    light = {label_column, column_of(options.domain_from) or "domain"} & set(schema.names)
    kind = schema.field(column).type
    points = _is_text(kind)
    has_path = pa.types.is_struct(kind) and kind.get_field_index("path") >= 0
    if points:
        light.add(column)
    columns = sorted(light - {column}) + ([f"{column}.path"] if has_path else [])
    columns += [column] if points else []
    stamp = stamp_of(Path(path).stat())
    first = 0
    for group in range(file.metadata.num_row_groups):
        n_rows = file.metadata.row_group(group).num_rows
        done = 0
        try:
            for rows in _light_rows(file, group, columns, n_rows):
                for row in rows:
                    uri = member_uri("parquet", path, str(first + done))
                    address = ParquetAddress(path, group, done, column)
                    if class_names and isinstance(row.get(label_column), int):
                        row[label_column] = _class_of(class_names, row[label_column])
                    yield (
                        item_of_row(uri, row, column, path, options, holder=address)
                        if points
                        else _item_of_bytes(uri, row, address, options, stamp=stamp)
                    )
                    done += 1
        except _DAMAGE as error:
            yield bad_item(
                member_uri("parquet", path, str(first + done), mark="damaged"),
                Reason.UNREADABLE,
                f"{n_rows - done} rows are unreadable: {error or type(error).__name__}",
                fingerprint=stamp,
            )
        first += n_rows


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return str(kind) in {"string", "large_string", "string_view"}


def _light_rows(
    file: pq.ParquetFile, group: int, columns: list[str], n_rows: int
) -> Iterator[list[dict[str, Any]]]:
    if not columns:
        for start in range(0, n_rows, _LIST_ROWS):
            yield [{} for _ in range(min(_LIST_ROWS, n_rows - start))]
        return
    for batch in file.iter_batches(
        _LIST_ROWS, row_groups=[group], columns=columns, use_threads=False
    ):
        yield batch.to_pylist()


def _class_of(names: tuple[str, ...], number: int) -> str | None:
    """The class behind a number; Hugging Face's -1 and what is out of range have none."""
    return names[number] if 0 <= number < len(names) else None


def _item_of_bytes(
    uri: str,
    row: dict[str, Any],
    address: ParquetAddress,
    options: SourceOptions,
    *,
    stamp: str,
) -> Item:
    """An item whose picture lies in the file, as a rule: a struct may point elsewhere as well."""
    cell = row.get(address.column)
    path = cell.get("path") if isinstance(cell, dict) else None
    folders = Path(path).parts[:-1][-1:] if isinstance(path, str) else ()
    tags = tags_of(options, folders=folders, fields=row)
    return Item(
        source_uri=uri,
        fingerprint=stamp,
        label=tags.label,
        domain=tags.domain,
        note=tags.note,
        address=address,
    )
