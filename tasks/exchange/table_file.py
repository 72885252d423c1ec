"""Rows of delimited text and of JSON, read strictly: a cut file is an error, not fewer rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...data.errors import InputError
from ...data.images.limits import DEFAULT_LIMITS
from ...data.sources.lists.delimited import Line, Record, open_table
from ...data.sources.lists.json_rows import json_rows
from ...data.sources.lists.list_files import DAMAGE, open_list, raw_lines, read_head
from ...data.sources.lists.listings import longest_row
from ...data.text.unicode import decode_escaped, valid_text

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".txt")
JSON_SUFFIXES: Final = (".json", ".jsonl", ".ndjson")
_LONGEST: Final = longest_row(DEFAULT_LIMITS)
_OPEN_END: Final = (
    "the file ends in an empty cell without a line end, and may be cut off; end it with a line end"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        line: Number of its first line, counted from 1.
        cells: Cells by column.
        problem: Defect of the row; None for a valid one.
    """

    line: int
    cells: dict[str, str]
    problem: str | None = None


def read_columns(file: Path) -> list[str]:
    """Return the header of a delimited file, as written.

    Raises:
        InputError: The file cannot be read, is no text or is empty.
    """
    read_head(str(file))
    try:
        with open_list(str(file)) as stream:
            table = open_table(_Lines().of(stream), max_chars=_LONGEST)
    except DAMAGE as error:
        raise unreadable(file, error) from error
    if table is None:
        raise InputError(f"{file} is empty; its first line must name the columns")
    return table.names


def read_rows(file: Path) -> Iterator[Row]:
    """Yield the rows below the header of a delimited file.

    Raises:
        InputError: The file is damaged.
    """
    last: Row | None = None
    lines = _Lines()
    try:
        with open_list(str(file)) as stream:
            table = open_table(lines.of(stream), max_chars=_LONGEST)
            for record in table.records if table is not None else ():
                if last is not None:
                    yield last
                last = _row(record, table.names if table is not None else [])
    except DAMAGE as error:
        raise unreadable(file, error) from error
    if last is not None:
        is_open = not lines.is_ended and not any(list(last.cells.values())[-1:])
        yield replace(last, problem=last.problem or _OPEN_END) if is_open else last


def read_values(file: Path) -> Iterator[tuple[int, Any, str | None]]:
    """Yield position from 1, value and defect of the values of a JSON or JSON lines file.

    Raises:
        InputError: The file cannot be read or is no text.
    """
    read_head(str(file))
    try:
        _require_closed(file)
        with open_list(str(file)) as stream:
            for number, row in enumerate(json_rows(stream, _LONGEST), start=1):
                problem = row.problem
                if row.is_cut:
                    problem = f"longer than {_LONGEST:,} bytes"
                yield number, row.value, problem
    except DAMAGE as error:
        raise unreadable(file, error) from error


def unreadable(file: Path, error: BaseException) -> InputError:
    """Return the error of a file that cannot be read."""
    return InputError(f"{file} cannot be read: {error or type(error).__name__}")


def _require_closed(file: Path) -> None:
    """Refuse an array that ends before its bracket: it may have lost whole values.

    Raises:
        InputError: The file begins with a bracket and does not end with one.
    """
    first = last = b""
    with open_list(str(file)) as stream:
        while chunk := stream.read(2**20):
            text = chunk.removeprefix(b"\xef\xbb\xbf").strip()
            first, last = first or text[:1], text[-1:] or last
    if not first:
        raise InputError(f"{file} is empty")
    if first == b"[" and last != b"]":
        raise InputError(f"{file} is cut off: its list is not closed; export or copy it again")


class _Lines:
    """Lines of a file.

    Attributes:
        is_ended: Whether the last line has a line end.
    """

    is_ended = True

    def of(self, stream: Any) -> Iterator[Line]:
        """Yield the lines of decompressed UTF-8 text as valid text."""
        for raw in raw_lines(stream, _LONGEST):
            self.is_ended = raw.raw.endswith((b"\n", b"\r"))
            text = valid_text(decode_escaped(raw.raw).rstrip("\r\n"))
            yield Line(text, raw.offset, raw.n_bytes, raw.is_cut, raw.n_lines)


def _row(record: Record, names: Sequence[str]) -> Row:
    if record.is_cut:
        return Row(record.line, {}, f"longer than {_LONGEST:,} bytes")
    if record.note is not None:
        return Row(record.line, {}, "a quote is not closed; the file may be cut off here")
    n_cells = len(record.cells)
    if n_cells < len(names) or any(cell.strip() for cell in record.cells[len(names) :]):
        problem = f"{n_cells} cells where the header has {len(names)}"
        return Row(record.line, {}, f"{problem}; the file may be cut off here")
    return Row(record.line, dict(zip(names, record.cells, strict=False)))
