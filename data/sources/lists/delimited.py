"""Parser of delimited text (CSV, TSV and similar) that loses no line.

A quote opens a field only at the start of a field, and closes it only before a delimiter or the
end of the record. A quoted field may contain line breaks. A quote that is never closed, or that
would absorb other rows, is an ordinary character.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from ...text.unicode import split_lines

DELIMITERS: Final = (",", ";", "\t", "|")
MAX_RECORD_CHARS: Final = 2**24
_MAX_LINES: Final = 20_000
_MAX_LINES_IN_VAIN: Final = 200_000
_MAX_LINES_WHEN_POOR: Final = 10
# This many consecutive lines with the row's number of cells are rows, not quoted text.
_MAX_ROWS_IN_TURN: Final = 8
_DATA: Final = re.compile("data:", re.IGNORECASE)
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?\s*')


class Line(NamedTuple):
    """One line of a file without its line end, and the position of its bytes.

    Attributes:
        text: Text of the line.
        offset: Offset of the line in bytes.
        n_bytes: Length of the line in bytes, with its line end.
        is_cut: Whether the line exceeds the limit, and `text` is only its beginning.
        n_lines: Number of lines, above 1 for consecutive empty lines.
    """

    text: str
    offset: int = 0
    n_bytes: int = 0
    is_cut: bool = False
    n_lines: int = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a table.

    Attributes:
        line: Number of the first line, counted from 1.
        n_lines: Number of lines of the row.
        cells: Cells as written; a line break in a quoted cell is LF.
        offset: Offset of the first line in bytes.
        n_bytes: Length of the lines in bytes.
        note: Note on unclosed quotes; None for most rows.
        is_cut: Whether the line exceeds the limit; `cells` is then empty.
    """

    line: int
    n_lines: int
    cells: list[str]
    offset: int = 0
    n_bytes: int = 0
    note: str | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Header of a table, and the records below it."""

    names: list[str]
    delimiter: str
    records: Iterator[Record]


def read_table(text: str, *, delimiter: str | None = None, is_quoted: bool = True) -> Table | None:
    """Return the table in a text; None for a text without lines.

    Args:
        text: Whole valid text, without a byte order mark.
        delimiter: Delimiter of cells; None to detect it.
        is_quoted: Whether quotes may enclose cells; if not, a quote is an ordinary character.
    """
    lines = (Line(line) for line in split_lines(text))
    return open_table(lines, delimiter=delimiter, is_quoted=is_quoted)


def open_table(
    lines: Iterable[Line],
    *,
    delimiter: str | None = None,
    is_quoted: bool = True,
    is_header: Callable[[Sequence[str]], bool] | None = None,
    tests_of: Callable[[Sequence[str]], RowTests | None] | None = None,
    max_chars: int = MAX_RECORD_CHARS,
) -> Table | None:
    """Return header and lazy records of a table; None for a file without lines.

    Empty lines are skipped. Excel's first line `sep=;` sets the delimiter.

    Args:
        lines: Lines of the file.
        delimiter: Delimiter of cells; None to detect it in the header.
        is_quoted: Whether quotes may enclose cells.
        is_header: Function that states whether cells look like the expected header; used to
            choose the delimiter.
        tests_of: Function from the header to tests that recognise rows.
        max_chars: Maximum length of a record with line breaks, in characters.
    """
    numbered = _numbered(lines)
    first = next(((n, line) for n, line in numbered if line.text.strip()), None)
    if first is None:
        return None
    if (named := _SEPARATOR_LINE.fullmatch(first[1].text)) is not None:
        delimiter = named[1]
        first = next(((n, line) for n, line in numbered if line.text.strip()), None)
        if first is None:
            return None
    header = first[1].text.lstrip("\ufeff")
    chosen = delimiter or choose_delimiter(header, is_header)
    names = [name.strip() for name in split_line(header, chosen, is_quoted=is_quoted)]
    records = read_records(
        numbered,
        chosen,
        n_cells=len(names),
        is_quoted=is_quoted,
        tests=tests_of(names) if tests_of else None,
        max_chars=max_chars,
    )
    return Table(names, chosen, records)


def _numbered(lines: Iterable[Line]) -> Iterator[tuple[int, Line]]:
    number = 1
    for line in lines:
        yield number, line
        number += line.n_lines


def choose_delimiter(header: str, is_header: Callable[[Sequence[str]], bool] | None = None) -> str:
    """Return the delimiter with which a line looks like a header, else the one with most cells."""

    def fitness(delimiter: str) -> tuple[bool, int]:
        cells = [cell.strip() for cell in split_line(header, delimiter)]
        return is_header is not None and is_header(cells), len(cells)

    return max(DELIMITERS, key=fitness)


def split_line(
    line: str, delimiter: str, *, is_quoted: bool = True, n_cells: int | None = None
) -> list[str]:
    """Return the cells of a single line; a quote not closed in the line is a character.

    If that gives fewer cells than `n_cells`, a quote followed by the quote of another cell is a
    character too.
    """
    if not is_quoted or '"' not in line:
        return _split_plain(line, delimiter)
    scanner = _Scanner(delimiter)
    if not scanner.feed(line):
        scanner.give_up(line)
    if n_cells is not None and len(scanner.cells) < n_cells:
        wary = _Scanner(delimiter, is_wary=True)
        if not wary.feed(line):
            wary.give_up(line)
        if len(wary.cells) == n_cells:
            return wary.cells
    return scanner.cells


@dataclass(frozen=True, slots=True)
class RowTests:
    """Tests that recognise rows by the content of their cells.

    Attributes:
        is_row: Function that states whether cells are certainly a row, not part of a quoted text.
        is_whole: Function that states whether a record with line breaks is one row.
    """

    is_row: Callable[[Sequence[str]], bool]
    is_whole: Callable[[Sequence[str]], bool]


def read_records(
    lines: Iterable[tuple[int, Line]],
    delimiter: str,
    *,
    n_cells: int,
    is_quoted: bool = True,
    tests: RowTests | None = None,
    max_chars: int = MAX_RECORD_CHARS,
) -> Iterator[Record]:
    """Yield the records in the lines below a header; every non-empty line is in one record.

    A record continues after a line end only within a quoted field. If that field is never closed,
    or would absorb lines that are rows themselves, its quote is a character, and the next record
    starts at the next line.

    Args:
        lines: Line numbers and lines.
        delimiter: Delimiter of cells.
        n_cells: Number of cells in a row.
        is_quoted: Whether quotes may enclose cells.
        tests: Tests that recognise rows by content; None to use the number of cells alone.
        max_chars: Maximum length of a record with line breaks, in characters.
    """
    ahead = _Ahead(iter(lines), delimiter, n_cells, tests, max_chars)
    while (numbered := ahead.take()) is not None:
        number, line = numbered
        if line.is_cut:
            yield Record(number, 1, [], line.offset, line.n_bytes, is_cut=True)
            continue
        if not line.text.strip():
            continue
        if not is_quoted or '"' not in line.text:
            cells = _split_plain(line.text, delimiter)
            yield Record(number, 1, cells, line.offset, line.n_bytes)
            continue
        scanner = _Scanner(delimiter)
        n_more, note = 0, None
        if not scanner.feed(line.text):
            n_more = ahead.n_lines_to_close(scanner, line.text)
            if n_more == 0:
                note = f"line {number} has a quote that is not closed"
        cells = scanner.cells if n_more else split_line(line.text, delimiter, n_cells=n_cells)
        rest = [more for _ in range(n_more) if (more := ahead.take()) is not None]
        n_bytes = line.n_bytes + sum(more.n_bytes for _, more in rest)
        yield Record(number, 1 + n_more, cells, line.offset, n_bytes, note)


def split_record(lines: Sequence[str], delimiter: str, n_cells: int) -> list[str]:
    """Return the cells of one record from its lines, as `read_records` does."""
    scanner = _Scanner(delimiter)
    if len(lines) > 1 and any(scanner.feed(line) for line in lines):
        return scanner.cells
    return split_line(lines[0], delimiter, n_cells=n_cells)


class _Ahead:
    """Iterator over lines with lookahead."""

    def __init__(
        self,
        lines: Iterator[tuple[int, Line]],
        delimiter: str,
        n_cells: int,
        tests: RowTests | None,
        max_chars: int,
    ) -> None:
        self._lines, self._delimiter, self._n_cells = lines, delimiter, n_cells
        self._tests, self._max_chars = tests, max_chars
        self._seen: deque[tuple[int, Line]] = deque()
        # Budget of unsuccessful lookahead, which bounds the time for a file of stray quotes.
        self._n_spare_lines = _MAX_LINES_IN_VAIN

    def take(self) -> tuple[int, Line] | None:
        """Return the next line; None at the end."""
        return self._seen.popleft() if self._seen else next(self._lines, None)

    def n_lines_to_close(self, scanner: _Scanner, first: str) -> int:
        """Return the number of further lines in the record; 0 if its quote is not closed.

        Args:
            scanner: Scanner after the record's first line, with a quoted field open.
            first: First line of the record.
        """
        n_lines = n_rows_in_turn = 0
        n_chars = len(first)
        padding = [""] * (self._n_cells - len(scanner.cells))
        is_begun = self._is_row([*scanner.cells, *padding])
        is_suspect = not is_begun and self._is_row(self._alone(first))
        max_lines = _MAX_LINES if self._n_spare_lines > 0 else _MAX_LINES_WHEN_POOR
        while n_lines < max_lines:
            if n_lines == len(self._seen):
                more = next(self._lines, None)
                if more is None:
                    break
                self._seen.append(more)
            line = self._seen[n_lines][1]
            n_lines += 1
            n_chars += len(line.text) + 1
            cells = self._alone(line.text)
            n_rows_in_turn = n_rows_in_turn + 1 if len(cells) == self._n_cells > 1 else 0
            if line.is_cut or n_chars > self._max_chars or n_rows_in_turn >= _MAX_ROWS_IN_TURN:
                break
            # The cell that marks a row may follow the quoted field, on the line that closes it.
            # Then it belongs to this record, unless the record already has such a cell.
            is_closed = scanner.feed(line.text)
            if self._is_row(cells) and (is_begun or is_suspect or not is_closed):
                break
            if is_closed:
                is_whole = self._tests is None or self._tests.is_whole(scanner.cells)
                if len(scanner.cells) == self._n_cells and is_whole:
                    return n_lines
                break
        self._n_spare_lines -= n_lines
        return 0

    def _alone(self, text: str) -> list[str]:
        """Return the cells of a single line; [] if it has too few delimiters for a row."""
        if text.count(self._delimiter) < self._n_cells - 1:
            return []
        if self._n_cells == 1 and self._tests is None:
            return []
        return split_line(text, self._delimiter)

    def _is_row(self, cells: Sequence[str]) -> bool:
        return self._tests is not None and len(cells) == self._n_cells and self._tests.is_row(cells)


class _Patterns(NamedTuple):
    opening: re.Pattern[str]
    inside: re.Pattern[str]
    closing: re.Pattern[str]
    plain: re.Pattern[str]


@lru_cache(maxsize=16)
def _patterns(delimiter: str) -> _Patterns:
    d = re.escape(delimiter)
    blank = "[ ]" if delimiter == "\t" else r"[ \t]"
    return _Patterns(
        opening=re.compile(f'{blank}*"'),
        inside=re.compile(rf'(?>[^"]+|""|"(?!{blank}*(?:{d}|\Z)))*+'),
        closing=re.compile(rf'"{blank}*(?:({d})|\Z)'),
        # A data: URI contains a semicolon and a comma.
        plain=re.compile(
            rf"(\s*data:[\w.+/-]*(?:;[\w=.-]+)*;base64,[^{d}]*|[^{d}]*)({d})?", re.IGNORECASE
        ),
    )


def _split_plain(line: str, delimiter: str) -> list[str]:
    cells = line.split(delimiter)
    if delimiter in {",", ";"} and _DATA.search(line):
        scanner = _Scanner(delimiter, is_quoted=False)
        scanner.feed(line)
        return scanner.cells
    return cells


class _Scanner:
    """Scanner of one record, fed line by line."""

    def __init__(self, delimiter: str, *, is_quoted: bool = True, is_wary: bool = False) -> None:
        self._patterns = _patterns(delimiter)
        self._is_quoted = is_quoted
        self._next_quote = f'{delimiter}"' if is_wary else None
        self._open: list[str] | None = None
        self._opened_at = 0
        self.cells: list[str] = []

    def feed(self, line: str) -> bool:
        """Scan one more line; return whether the record is complete."""
        at = 0
        if self._open is not None:
            at = self._inside(line, 0)
        while at >= 0 and self._open is None:
            at = self._field(line, at)
        return self._open is None

    def _field(self, line: str, at: int) -> int:
        """Scan a field from `at`; return the start of the next one, or -1 at the line's end."""
        opening = self._patterns.opening.match(line, at) if self._is_quoted else None
        if opening is None:
            return self._plain(line, at)
        self._open, self._opened_at = [], at
        return self._inside(line, opening.end())

    def _plain(self, line: str, at: int) -> int:
        found = self._patterns.plain.match(line, at)
        if found is None:
            raise ValueError("no field")
        self.cells.append(found[1])
        return found.end() if found[2] else -1

    def _inside(self, line: str, at: int) -> int:
        inner = self._patterns.inside.match(line, at)
        end = inner.end() if inner else at
        parts = self._open if self._open is not None else []
        parts.append(line[at:end])
        closing = self._patterns.closing.match(line, end)
        if closing is None or (self._next_quote is not None and self._next_quote in parts[-1]):
            return -1
        self.cells.append("\n".join(parts).replace('""', '"'))
        self._open = None
        return closing.end() if closing[1] else -1

    def give_up(self, line: str) -> None:
        """Treat the quote of the open field as a character; `line` is the whole record."""
        while self._open is not None:
            self._open = None
            at = self._plain(line, self._opened_at)
            while at >= 0 and self._open is None:
                at = self._field(line, at)
