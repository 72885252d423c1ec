"""Tables of labels beside images: Hugging Face's `metadata.csv`, `.jsonl` and `.parquet`.

The column `file_name` has an image's path below the table's folder.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import InputError
from ...text.unicode import decode_escaped, is_binary, valid_text
from ...text.wording import counted
from ..arrow_rows import rows_of
from ..columns import column_named
from ..items import SourceOptions, column_of
from ..labelling import is_missing, pick
from ..lists.delimited import Line, open_table
from ..lists.json_rows import json_rows
from ..lists.list_files import DAMAGE, raw_lines
from ..uris import escape_of, parts_of

NAMES: Final = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_NAME: Final = "file_name"
_LONGEST_ROW: Final = 2**20
_BATCH_ROWS: Final = 4096


@dataclass(frozen=True, slots=True)
class Metadata:
    """Content of a table of labels.

    Attributes:
        scheme: URI scheme of its rows: "csv", "jsonl" or "parquet".
        fields: Label and domain by the image's path below the folder.
        row_of: Row number by path, the first that names it.
        problems: Defects of rows without an image, by row number.
    """

    scheme: str
    fields: dict[str, dict[str, object]] = field(default_factory=dict)
    row_of: dict[str, int] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)


def is_metadata(name: str) -> bool:
    """Return whether a file is a table of labels by its name."""
    return name.lower() in NAMES


def read_metadata(
    name: str, stream: io.BufferedReader[Any], options: SourceOptions
) -> Metadata | None:
    """Return the content of a table of labels; None for a table without a column `file_name`.

    Args:
        name: Name of the file.
        stream: Decompressed UTF-8 text, or bytes of a Parquet file.
        options: Settings of listing; `label_from` and `domain_from` are used.
    """
    scheme = name.lower().rpartition(".")[2]
    rows = {"csv": _csv_rows, "jsonl": _json_rows, "parquet": _parquet_rows}[scheme]
    metadata = Metadata(scheme)
    wanted = [column_of(options.label_from) or "label", column_of(options.domain_from) or "domain"]
    number = -1
    try:
        for number, row in enumerate(rows(stream)):
            problem = row if isinstance(row, str) else _add(metadata, number, row, wanted)
            if problem is not None:
                metadata.problems[number] = problem
    except _NoFileNameError:
        return None
    except (*DAMAGE, pa.ArrowException, LookupError, TypeError, MemoryError) as error:
        metadata.problems[number + 1] = f"the rest is unreadable: {error or type(error).__name__}"
    return metadata


class _NoFileNameError(Exception):
    """The table is not a table of labels."""


def _add(
    metadata: Metadata, number: int, row: Mapping[str, object], wanted: list[str]
) -> str | None:
    """Add a row; return its defect, or None."""
    name, clash = pick(row, FILE_NAME)
    if clash is not None:
        return clash
    if not isinstance(name, str) or is_missing(name):
        return "no file_name"
    path = path_of(name)
    if path is None:
        return f"a file_name with {escape_of(name.strip())}"
    lower = {key.strip().lower() for key in wanted}
    fields = {key: value for key, value in row.items() if key.strip().lower() in lower}
    if path in metadata.fields and metadata.fields[path] != fields:
        return f"{path} is also in row {metadata.row_of[path]}, with other values"
    metadata.fields[path] = fields
    metadata.row_of.setdefault(path, number)
    return None


def path_of(name: str) -> str | None:
    """Return a path below the table's folder in normal form; None if it leads out of the folder."""
    stripped = name.strip()
    return None if escape_of(stripped) else "/".join(parts_of(stripped))


def _csv_rows(stream: io.BufferedReader[Any]) -> Iterator[Mapping[str, object] | str]:
    if is_binary(stream.peek(4096)):
        raise _NoFileNameError
    lines = (
        Line(
            decode_escaped(raw.raw).rstrip("\r\n"), raw.offset, raw.n_bytes, raw.is_cut, raw.n_lines
        )
        for raw in raw_lines(stream, _LONGEST_ROW)
    )
    table = open_table(lines, is_header=partial(_has_file_name))
    if table is None or not _has_file_name(table.names):
        raise _NoFileNameError
    names = [valid_text(name) for name in table.names]
    for record in table.records:
        n_cells = len(record.cells)
        if record.is_cut:
            yield f"line {record.line}: {record.n_bytes} bytes"
        elif n_cells < len(names) or any(map(str.strip, record.cells[len(names) :])):
            note = f"; {record.note}" if record.note else ""
            cells = counted(n_cells, "cell")
            yield f"line {record.line}: {cells}; the header has {len(names)}{note}"
        else:
            yield dict(zip(names, record.cells, strict=False))


def _json_rows(stream: io.BufferedReader[Any]) -> Iterator[Mapping[str, object] | str]:
    for number, row in enumerate(json_rows(stream, _LONGEST_ROW)):
        if number == 0 and isinstance(row.value, dict) and not _has_file_name(list(row.value)):
            raise _NoFileNameError
        if row.problem is not None or row.is_cut or not isinstance(row.value, dict):
            yield row.problem or f"not an object of at most {_LONGEST_ROW} bytes"
        else:
            yield row.value


def _parquet_rows(stream: io.BufferedReader[Any]) -> Iterator[Mapping[str, object] | str]:
    try:
        file = pq.ParquetFile(pa.PythonFile(stream))
        column_named(file.schema_arrow.names, FILE_NAME, "")
    except (pa.ArrowException, OSError, ValueError, InputError) as error:
        raise _NoFileNameError from error
    columns = [
        column.name
        for column in file.schema_arrow
        if not pa.types.is_nested(column.type) and "binary" not in str(column.type)
    ]
    for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
        yield from rows_of(batch)


def _has_file_name(names: list[str] | Any) -> bool:
    return any(str(name).strip().lower() == FILE_NAME for name in names)
