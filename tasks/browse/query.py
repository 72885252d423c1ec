"""SQL over the tables of a lake; a statement cannot read files or write anything.

The SQL of polars has functions that read files. Their names are refused in the text, before it is
parsed. Then the statement is planned on empty tables in memory, and a plan with a scan is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import polars as pl

from ...data.column_texts import COLUMN_TEXTS, ROW_TEXTS, kind_text
from ...data.errors import ConfigError, is_panic, shorten
from ...data.schema import TABLES
from ...data.store.damage import explain
from ...data.store.lake import Lake
from ...data.text.wording import did_you_mean
from .images import COLUMNS, known_images, scope_of

CURRENT: Final = "current"
"""Name of the table of images with their latest facts, as in `assay ls`."""
MAX_CHARS: Final = 10_000
_FILES: Final = re.compile(r"\b(?:read|scan|sink|write)_\w+", re.IGNORECASE)
_STATEMENT: Final = re.compile(r"\s*\(*\s*(\w*)")
_SCAN: Final = re.compile(r"^[\s│├└─]*\w+ SCAN\b", re.MULTILINE)
_UNKNOWN_TABLE: Final = re.compile(r"relation '([^']*)' was not found")
_UNKNOWN_COLUMN: Final = re.compile(r'unable to find column "([^"]*)"')
_MESSAGE_CHARS: Final = 200


def table_names() -> tuple[str, ...]:
    """Return the names of the tables of a query."""
    return (*TABLES, CURRENT)


def query(lake: Lake, sql: str) -> pl.LazyFrame:
    """Return the rows of a SELECT statement over the tables of a lake.

    The tables are those of `data.schema.TABLES`, and `current` with one row per image and the
    columns of `images.COLUMNS`.

    Args:
        lake: Lake of the tables.
        sql: Statement in polars' SQL.

    Raises:
        ConfigError: The statement is no SELECT, names an unknown table or column, or reads a file.
        StoreError: The lake cannot be read.
    """
    text = sql.strip().removesuffix(";").strip()
    _check_text(text)
    words = {word.lower() for word in re.findall(r"\w+", text)}
    tables = {name: _table(lake, name) for name in table_names() if name in words}
    with telling(lake, text):
        empty = {
            name: pl.LazyFrame(schema=frame.collect_schema()) for name, frame in tables.items()
        }
        tried = pl.SQLContext(empty).execute(text)
        if _SCAN.search(tried.explain(optimized=False)):
            raise _refusal(text, "it reads data outside the tables of the lake")
        tried.collect_schema()
        return pl.SQLContext(tables).execute(text)


@contextmanager
def telling(lake: Lake, sql: str) -> Iterator[None]:
    """Convert errors of a statement into errors that name the existing tables and columns.

    Raises:
        ConfigError: The statement cannot be parsed, planned or run.
        StoreError: A file of the lake is damaged.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, ValueError, OverflowError) as error:
        raise explain(error, lake.uri) or _refusal(sql, _told(error, sql)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise explain(error, lake.uri) or _refusal(sql, _told(error, sql)) from error


def describe_tables() -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """Return per table its name, the meaning of a row, and name, type and text of each column."""
    described = [
        (
            table,
            ROW_TEXTS[table],
            [(f.name, kind_text(f.type), COLUMN_TEXTS[table][f.name]) for f in schema],
        )
        for table, schema in TABLES.items()
    ]
    types = {field.name: kind_text(field.type) for schema in TABLES.values() for field in schema}
    now = [(name, types.get(name, "text"), text) for name, text in COLUMNS.items()]
    row = "One row per image with its latest score, decision, label and sighting."
    return [*described, (CURRENT, row, now)]


def _check_text(text: str) -> None:
    if not text:
        raise ConfigError("the SQL is empty; give a SELECT statement, or --tables")
    if len(text) > MAX_CHARS:
        raise _refusal(text, f"it has {len(text):,} characters, allowed are {MAX_CHARS:,}")
    match = _STATEMENT.match(text)
    first = match[1].upper() if match else ""
    if first not in {"SELECT", "WITH"}:
        raise _refusal(text, f"it begins with {first or text[:1]}; allowed: SELECT, WITH")
    if found := _FILES.search(text):
        raise _refusal(text, f"{found[0]} would read or write a file; only tables can be read")


def _table(lake: Lake, name: str) -> pl.LazyFrame:
    return known_images(lake, scope_of(lake)) if name == CURRENT else lake.scan(name)


def _told(error: BaseException, sql: str) -> str:
    """Return the first line of an error, with the names that exist."""
    line = shorten(str(error).strip().partition("\n")[0], _MESSAGE_CHARS) or type(error).__name__
    if unknown := _UNKNOWN_TABLE.search(line):
        near = did_you_mean(unknown[1], table_names())
        return f"there is no table {unknown[1]}{near}; tables: {', '.join(table_names())}"
    if unknown := _UNKNOWN_COLUMN.search(line):
        words = {word.lower() for word in re.findall(r"\w+", sql)}
        columns = {
            name: [column for column, _, _ in parts]
            for name, _, parts in describe_tables()
            if name in words
        }
        every = [column for names in columns.values() for column in names]
        listed = "; ".join(f"columns of {name}: {', '.join(c)}" for name, c in columns.items())
        return f"there is no column {unknown[1]}{did_you_mean(unknown[1], every)}; {listed}"
    return line


def _refusal(sql: str, why: str) -> ConfigError:
    return ConfigError(f"{shorten(sql, 80)!r} cannot be run: {why}")
