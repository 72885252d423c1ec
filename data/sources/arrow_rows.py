"""Rows of Arrow batches as Python values, including text that is not valid UTF-8."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from ..text.unicode import decode_escaped

_TEXTS: Final = {"string", "large_string", "string_view"}


def rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of a batch; bytes of a text that are not UTF-8 become surrogate escapes."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except UnicodeDecodeError:
        names = batch.schema.names
        columns = [_cells(batch.column(number)) for number in range(len(names))]
        return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return rows


def value_of(scalar: pa.Scalar) -> Any:
    """Return the value of a cell; see `rows_of` for text."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        if pa.types.is_struct(scalar.type):
            return {field.name: value_of(scalar[field.name]) for field in scalar.type}
        if _is_list(scalar.type):
            return [value_of(scalar[number]) for number in range(len(scalar))]
        if pa.types.is_dictionary(scalar.type):
            return value_of(scalar.value)
        return decode_escaped(scalar.as_buffer().to_pybytes())


def _cells(column: pa.Array) -> list[Any]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if str(kind) not in _TEXTS and not pa.types.is_nested(kind):
        return list(column.to_pylist())
    return [value_of(scalar) for scalar in column]


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
