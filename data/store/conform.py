"""Strict conversion of rows to a table's schema: no missing or unknown column, no lossy cast.

Arrow by itself drops unknown keys, fills missing ones with null, truncates 1.5 to 1 and reads a
naive time as UTC. Each of these would silently store a wrong row.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from ..errors import StoreError
from ..schema import LATER, TABLES, Row


def schema_of(table: str) -> pa.Schema:
    """Return the Arrow schema of a table.

    Raises:
        StoreError: There is no such table.
    """
    try:
        return TABLES[table]
    except KeyError:
        raise StoreError(f"no table {table!r}; allowed: {', '.join(TABLES)}") from None


def with_nulls(rows: pl.LazyFrame, table: str, names: Sequence[str]) -> pl.LazyFrame:
    """Return rows with the columns of the schema in its order, and unknown ones after them.

    Args:
        rows: Rows of a table, possibly written by another version of assay.
        table: Name of the table.
        names: Names of the columns of `rows`; others are added as nulls.
    """
    schema = schema_of(table)
    if names == schema.names:
        return rows
    kinds = pl.Schema(schema)
    nulls = {name: pl.lit(None, kinds[name]) for name in schema.names if name not in names}
    later = [name for name in names if name not in schema.names]
    return rows.with_columns(**nulls).select(*schema.names, *later)


def conform(table: str, rows: Sequence[Row] | pa.Table | pl.DataFrame) -> pa.Table:
    """Return rows as an Arrow table with exactly the table's schema.

    Every column must be given, nullable ones too (as None), since a missing column is usually a
    mistake. Only columns of `schema.LATER` may be left out. Integers are converted to floats for
    float columns, and numbers to narrower types if the values fit; nothing else is converted.

    Args:
        table: Name of the table.
        rows: Rows as dicts, an Arrow table or a polars frame.

    Raises:
        StoreError: A column is unknown or missing, a required one has a null, or a type does not
            fit; the message names table and column.
    """
    schema = schema_of(table)
    given = _as_columns(table, rows, schema)
    for name in given:
        if schema.get_field_index(name) < 0:
            raise StoreError(f"{table} has no column {name!r}; it has {', '.join(schema.names)}")
    columns = []
    for field in schema:
        if field.name not in given and field.name in LATER.get(table, ()):
            columns.append(pa.chunked_array([pa.nulls(_n_rows(given), field.type)]))
            continue
        if field.name not in given:
            raise StoreError(
                f"{table}.{field.name} is missing; give every column, a nullable one as None"
            )
        columns.append(_fit(table, field, given[field.name]))
    return pa.table(columns, schema=schema)


def _n_rows(given: dict[str, pa.ChunkedArray | pa.Array]) -> int:
    return max((len(values) for values in given.values()), default=0)


def _as_columns(
    table: str, rows: Sequence[Row] | pa.Table | pl.DataFrame, schema: pa.Schema
) -> dict[str, pa.ChunkedArray | pa.Array]:
    if isinstance(rows, pl.DataFrame):
        rows = rows.to_arrow()
    if isinstance(rows, pa.Table):
        return {name: rows.column(name) for name in rows.column_names}
    if not rows:
        return {field.name: pa.array([], field.type) for field in schema}
    names = rows[0].keys()
    for number, row in enumerate(rows):
        if row.keys() != names:
            odd = ", ".join(sorted(row.keys() ^ names))
            raise StoreError(f"{table} row {number} has other columns than row 0: {odd}")
    columns = {}
    for name in names:
        try:
            # The type is inferred, so that _fit checks the type that was given.
            columns[name] = pa.array([row[name] for row in rows])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise StoreError(f"{table}.{name} has values of several types: {error}") from error
    return columns


def _fit(table: str, field: pa.Field, values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    where = f"{table}.{field.name}"
    if not field.nullable and values.null_count:
        raise StoreError(f"{where} is null in {values.null_count} row(s); it must have a value")
    _check_type(where, values.type, field.type)
    try:
        fitted = values.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StoreError(f"{where} does not fit {field.type}: {error}") from error
    if pat.is_list(field.type) and pc.any(pc.is_null(pc.list_flatten(fitted))).as_py():
        raise StoreError(f"{where} has a list with a null element")
    return fitted if isinstance(fitted, pa.ChunkedArray) else pa.chunked_array([fitted])


def _check_type(where: str, given: pa.DataType, wanted: pa.DataType) -> None:
    if pat.is_null(given):  # nulls only; nullability is checked elsewhere
        return
    if pat.is_dictionary(given):  # a polars Categorical or Enum
        given = given.value_type
    if pat.is_struct(wanted) and pat.is_struct(given):
        known = {child.name: child.type for child in wanted}
        for child in given:
            if child.name not in known:
                raise StoreError(f"{where} has no field {child.name!r}; it has {', '.join(known)}")
            _check_type(f"{where}.{child.name}", child.type, known[child.name])
        return
    if _is_list(wanted) and _is_list(given):
        _check_type(f"{where}[]", given.value_type, wanted.value_type)
        return
    if pat.is_timestamp(wanted) and pat.is_timestamp(given) and given.tz is None:
        raise StoreError(f"{where} is a time without a zone; give it in UTC")
    if not any(is_kind(given) and is_kind(wanted) for is_kind in _KINDS) and not (
        pat.is_integer(given) and pat.is_floating(wanted)
    ):
        raise StoreError(f"{where} is {given}; it must be {wanted}")


def _is_list(kind: pa.DataType) -> bool:
    return bool(pat.is_list(kind) or pat.is_large_list(kind) or pat.is_fixed_size_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind))


_KINDS = (_is_text, pat.is_integer, pat.is_floating, pat.is_timestamp, pat.is_boolean)
