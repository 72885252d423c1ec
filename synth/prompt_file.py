"""Files of prompts: plain text, delimited tables such as PartiPrompts, JSON and Parquet.

Every line of a file is a prompt, blank, or an error that names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..data.errors import InputError
from ..data.sources.lists.delimited import Line, Record, RowTests, Table, open_table
from ..data.text.unicode import decode_text, split_lines, valid_text
from ..data.text.wording import counted, shown

_PROMPT: Final = ("prompt", "text", "caption")
_NEGATIVE: Final = ("negative_prompt", "negative")
_CATEGORY: Final = ("category", "challenge")
_EXPECTED: Final = ("expected_text", "shown_text")
_TEXTS: Final = frozenset({*_PROMPT, *_NEGATIVE, *_EXPECTED})
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
_COLUMNS: Final = frozenset({*_PROMPT, *_NEGATIVE, *_CATEGORY, *_EXPECTED})

MAX_BYTES: Final = 256 * 2**20
_TEXT_SUFFIXES: Final = ("", ".txt", ".text", ".prompts")
KINDS: Final = ".txt (one on each line), .csv, .tsv, .jsonl, .json or .parquet"
# A cell with quotes as written by TSV writers that use quoting: doubled, within a pair.
_WRITTEN_WITH_QUOTES: Final = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt with its properties."""

    prompt: str
    """Description of the image."""
    negative_prompt: str = ""
    """Description of what the image must not show."""
    category: str = ""
    """Category of the prompt, for tables."""
    expected_text: str = ""
    """Text that must be readable in the image."""

    def settings(self) -> dict[str, str]:
        """Return the fields that are not empty, by name."""
        fields = {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "category": self.category,
            "expected_text": self.expected_text,
        }
        return {name: value for name, value in fields.items() if value}


def read_prompts(path: Path) -> list[Prompt]:
    """Read the prompts of a `.txt`, `.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet` file.

    A table has a column `prompt`, `text` or `caption`, in upper or lower case; the columns
    `negative_prompt`, `category` and `expected_text` are optional. PartiPrompts needs no
    conversion.

    Args:
        path: File of prompts.

    Raises:
        InputError: The file or a row cannot be read, or there are no prompts.
    """
    try:
        prompts = [
            prompt for place, row in _rows(path) if (prompt := _prompt(row, place, path)).prompt
        ]
    except RecursionError:
        raise InputError(f"{path} cannot be read as prompts: it is nested too deeply") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as prompts: {error}") from error
    if not prompts:
        raise InputError(f"{path} has no prompts; write one per line")
    return prompts


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a file, each with its place."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    if (n_bytes := path.stat().st_size) > MAX_BYTES:
        raise ValueError(f"it has {n_bytes:,} bytes; allowed: {MAX_BYTES:,}. Split it")
    if suffix in {".csv", ".tsv"}:
        yield from _table_rows(_text_of(path), is_tsv=suffix == ".tsv")
    elif suffix in {".jsonl", ".ndjson"}:
        yield from _json_lines(_text_of(path))
    elif suffix == ".json":
        yield from _json_rows(_text_of(path))
    elif suffix in _TEXT_SUFFIXES:
        for number, line in enumerate(split_lines(_text_of(path)), start=1):
            yield f"line {number}", line
    else:
        raise ValueError(f"the suffix {path.suffix} is unknown; allowed: {KINDS}")


def _text_of(path: Path) -> str:
    text = decode_text(path.read_bytes())
    if "\0" in text:
        raise ValueError("not text: it holds NUL bytes; save it as UTF-8")
    return text


def _table_rows(text: str, *, is_tsv: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    table = _table(text, delimiter="\t", is_quoted=False) if is_tsv else _table(text)
    if table is None:
        return
    records = list(table.records)
    if is_tsv and not _is_plain(table.names, records):
        # Cells with line breaks, or all in quotes: written with quoting.
        table = _table(text, delimiter="\t") or table
        records = list(table.records)
    elif is_tsv:
        records = [_unquoted(record) for record in records]
    known = [_plain_name(name) for name in table.names]
    if double := sorted({name for name in known if name in _COLUMNS and known.count(name) > 1}):
        raise ValueError(f"two columns are named {double[0]}; remove or rename one")
    for record in records:
        cells = record.cells
        if len(cells) > len(known):
            if len(known) > 1:
                raise ValueError(
                    f"line {record.line} has {counted(len(cells), 'cell')}, the header has"
                    f" {len(known)}; put cells with the delimiter in quotes"
                )
            cells = [table.delimiter.join(cells)]
        yield f"line {record.line}", dict(zip(table.names, cells, strict=False))


def _table(text: str, *, delimiter: str | None = None, is_quoted: bool = True) -> Table | None:
    lines = (Line(line) for line in split_lines(text))
    return open_table(lines, delimiter=delimiter, is_quoted=is_quoted, tests_of=_row_tests)


def _row_tests(names: Sequence[str]) -> RowTests:
    """Build the tests for rows: line breaks occur in texts only, and leading numbers start rows."""
    others = [at for at, name in enumerate(names) if _plain_name(name) not in _TEXTS]
    # Columns after a text are in the line that ends the text.
    leading = [at for n_before, at in enumerate(others) if at == n_before]

    def is_row(cells: Sequence[str]) -> bool:
        return any(_NUMBER.fullmatch(cells[at].strip()) for at in leading)

    def is_whole(cells: Sequence[str]) -> bool:
        return all("\n" not in cells[at] for at in others)

    return RowTests(is_row, is_whole)


def _is_plain(names: Sequence[str], records: Sequence[Record]) -> bool:
    """Return whether each line is a row and quotes are plain characters, as TSV is defined."""
    if any(len(name) > 1 and name[0] == name[-1] == '"' for name in names):
        return False
    return not any(
        len(record.cells) != len(names) and any(map(_opens, record.cells)) for record in records
    )


def _opens(cell: str) -> bool:
    """Return whether a cell starts with a quote that it does not close."""
    return cell.startswith('"') and (len(cell) == 1 or not cell.endswith('"'))


def _plain_name(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _unquoted(record: Record) -> Record:
    cells = [
        cell[1:-1].replace('""', '"') if _WRITTEN_WITH_QUOTES.fullmatch(cell) else cell
        for cell in record.cells
    ]
    return Record(record.line, record.n_lines, cells)


def _json_lines(text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(split_lines(text), start=1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number} is not JSON: {error}") from error


def _json_rows(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a list of texts or objects, alone or as `prompts`; or of JSON lines."""
    try:
        value = json.loads(text)
    except ValueError as error:
        if "Extra data" not in str(error):
            raise
        yield from _json_lines(text)
        return
    rows = value.get("prompts", value) if isinstance(value, dict) else value
    numbered = enumerate(rows, start=1) if isinstance(rows, list) else None
    if numbered is None:
        raise ValueError('it is not a list of prompts, such as ["a dog", "a cat"]')
    for number, row in numbered:
        yield f"item {number}", row


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import polars as pl

    try:
        schema = pl.read_parquet_schema(path)
        wanted = [name for name in schema if _plain_name(name) in _COLUMNS]
        frame = pl.read_parquet(path, columns=wanted or list(schema)[:1])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(str(error).partition("\n")[0]) from error
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        yield f"row {number}", row if wanted else dict.fromkeys(schema)


def _prompt(row: Any, place: str, path: Path) -> Prompt:
    if isinstance(row, str):
        return Prompt(prompt=valid_text(row).strip())
    if not isinstance(row, Mapping):
        raise InputError(f"{path}, {place}: {shown(row)} is not a text or a row with named columns")
    values = {_plain_name(str(name)): value for name, value in row.items()}
    if not any(name in values for name in _PROMPT):
        raise InputError(
            f"{path} has no column {', '.join(_PROMPT)}; seen: {', '.join(map(str, row))}"
        )

    def first(names: Sequence[str]) -> str:
        for name in names:
            value = values.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                raise InputError(f"{path}, {place}: {name} = {shown(value)} is not text")
            return valid_text(str(value)).strip()
        return ""

    return Prompt(
        prompt=first(_PROMPT),
        negative_prompt=first(_NEGATIVE),
        category=first(_CATEGORY),
        expected_text=first(_EXPECTED),
    )
