"""Rows of delimited text and of JSON, read strictly: a cut file is an error, not fewer rows.

Sources are read leniently instead (`data/sources/lists`): there no line may be lost, here none may
be misread.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...data.errors import InputError
from ...data.images.limits import DEFAULT_LIMITS
from ...data.sources.lists.delimited import choose_delimiter
from ...data.sources.lists.json_rows import json_rows
from ...data.sources.lists.list_files import DAMAGE, open_list, read_head
from ...data.sources.lists.listings import longest_row
from ...data.text.unicode import valid_text
from ...data.text.wording import counted

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".txt")
JSON_SUFFIXES: Final = (".json", ".jsonl", ".ndjson")
_LONGEST: Final = longest_row(DEFAULT_LIMITS)
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?\s*')
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
    with _opened(file) as table:
        return table.names


def read_rows(file: Path) -> Iterator[Row]:
    """Yield the rows below the header of a delimited file.

    A row with a defect is yielded with its problem. After a quote that is not closed, the rest of
    the file is not read.

    Raises:
        InputError: The file cannot be read, is no text or is empty.
    """
    last: Row | None = None
    with _opened(file) as table:
        for row in table.rows():
            if last is not None:
                yield last
            last = row
        is_ended = table.is_ended
    if last is not None:
        is_open = not is_ended and not any(list(last.cells.values())[-1:])
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


class _Table:
    """Open table.

    Args:
        stream: Text with its line ends.
        file: File of the text, for messages.

    Raises:
        InputError: The file is empty.
    """

    def __init__(self, stream: io.TextIOBase, file: Path) -> None:
        self._stream = stream
        self._n_lines = 0
        self.is_ended = True
        lines = self._lines()
        first = next((line for line in lines if line.strip()), None)
        delimiter = None
        if first is not None and (named := _SEPARATOR_LINE.fullmatch(first)) is not None:
            # Excel's first line that names the separator.
            delimiter = named[1]
            first = next((line for line in lines if line.strip()), None)
        if first is None:
            raise InputError(f"{file} is empty; its first line must name the columns")
        header = valid_text(first.lstrip("\ufeff").rstrip("\r\n"))
        self._delimiter = delimiter or choose_delimiter(header)
        (names,) = csv.reader([header], delimiter=self._delimiter)
        self.names = [name.strip() for name in names]

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the header; empty lines are skipped."""
        reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        while True:
            line = self._n_lines + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                # "unexpected end of data" for a quote that is open at the end.
                problem = f"a quote is not closed, or text follows it ({error}); the rest is unread"
                yield Row(line, {}, problem)
                return
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                yield _row(line, [valid_text(cell) for cell in cells], self.names)

    def _lines(self) -> Iterator[str]:
        for line in self._stream:
            self._n_lines += 1
            self.is_ended = line.endswith(("\n", "\r"))
            yield line


@contextmanager
def _opened(file: Path) -> Iterator[_Table]:
    read_head(str(file))
    # A cell may hold an image as text.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
    try:
        with (
            open_list(str(file)) as stream,
            io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="") as text,
        ):
            yield _Table(text, file)
    except DAMAGE as error:
        raise unreadable(file, error) from error


def _row(line: int, cells: Sequence[str], names: Sequence[str]) -> Row:
    n_cells = len(cells)
    if n_cells < len(names) or any(cell.strip() for cell in cells[len(names) :]):
        problem = f"{counted(n_cells, 'cell')} where the header has {len(names)}"
        return Row(line, {}, f"{problem}; the file may be cut off here")
    return Row(line, dict(zip(names, cells, strict=False)))
