"""Lists of images in text files (CSV and similar, JSON, plain lines), at least one item per row.

Rows count from 0, without the header: `jsonl:///a/x.jsonl!3` is the fourth. Lists are read line by
line, in bounded memory. A defect of a row becomes that item's problem, and the next row starts at
the next line.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ...errors import InputError, UnreadableImage
from ...images.limits import ImageLimits
from ...object_addresses import folder_of, is_object
from ...text.unicode import decode_escaped, is_valid, split_lines, valid_text
from ...text.wording import counted
from ...vocabulary import Reason
from ..cells import is_base64_image
from ..columns import IMAGE_COLUMNS, choose_column, may_hold_image, tag_columns
from ..items import Item, SourceOptions, bad_item, column_of
from ..labelling import IMAGE_SUFFIXES
from ..packed import PackedTooMuchError
from ..uris import member_uri
from .delimited import Line, Record, RowTests, Table, open_table
from .json_rows import JsonRow, json_rows
from .list_files import DAMAGE, open_list, raw_lines, read_head
from .listed_rows import RowAddress, digest, items_of_cell

_log = logging.getLogger(__name__)

_NOT_UTF8: Final = "not UTF-8, read as Windows-1252"
_STRAY_QUOTE: Final = "quotes that are not closed, read as characters"
_N_SAMPLED: Final = 20
_ADDRESS: Final = re.compile(
    r"\s*(?:[a-z][a-z0-9+.-]+://|data:image/|data:[\w.+/-]*;base64,)", re.IGNORECASE
)
_PACKED: Final = re.compile(r"\s*(?:data:|[A-Za-z0-9+/_-]{32,})")


def longest_row(limits: ImageLimits) -> int:
    """Return the maximum length of a row in bytes: an image in base64, and 1 MiB for the rest."""
    return limits.max_bytes // 3 * 4 + 2**20


def require_csv(path: str, options: SourceOptions) -> None:
    """Refuse a list without an image column or without a requested column in its header.

    Raises:
        InputError: The list cannot be read, or a column is missing or ambiguous.
    """
    read_head(path)
    try:
        with open_list(path) as stream:
            _open_csv(_lines(stream, options), path, options)
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be read: {error or type(error).__name__}") from error


def list_csv(path: str, options: SourceOptions) -> Iterator[Item]:
    """Yield the items of a CSV or TSV file with a header; empty lines are skipped."""
    yield from _guarded("csv", path, partial(_csv_items, path, options))


def require_json(path: str, options: SourceOptions) -> None:
    """Refuse a list whose first row is an object without an image; a damaged row is accepted.

    Raises:
        InputError: The list cannot be read, or its first row has no image.
    """
    read_head(path)
    try:
        with open_list(path) as stream:
            first = next(json_rows(stream, longest_row(options.limits)), None)
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be read: {error or type(error).__name__}") from error
    if first is None or not isinstance(first.value, dict):
        return
    try:
        choose_column(list(first.value), options.image_column, path)
    except InputError as error:
        lists = [key for key, value in first.value.items() if isinstance(value, list)]
        if not lists or path.lower().endswith((".jsonl", ".ndjson")):
            raise
        raise InputError(
            f"{path}: a JSON object, not a list of rows; write the list alone, such as the value"
            f' of "{lists[0]}": [{{"image": "a.jpg", "label": "real"}}, ...]'
        ) from error


def list_json(path: str, options: SourceOptions) -> Iterator[Item]:
    """Yield the items of a list in JSON Lines, or of an array in JSON."""
    scheme = "json" if ".json" in re.findall(r"\.[a-z0-9]+", Path(path).name.lower()) else "jsonl"
    yield from _guarded(scheme, path, partial(_json_items, scheme, path, options))


def require_lines(path: str, _options: SourceOptions) -> None:
    """Refuse a file that is not text.

    Raises:
        InputError: The file cannot be read, or is not text.
    """
    read_head(path)


def list_lines(path: str, options: SourceOptions) -> Iterator[Item]:
    """Yield the items of a text with one path or URL per line."""
    yield from _guarded("txt", path, partial(_line_items, path, options))


def looks_like_list(path: str) -> bool:
    """Return whether one of the first 20 lines of a text is a path or URL of an image.

    Raises:
        InputError: The file cannot be read, or is not text.
    """
    lines = filter(str.strip, split_lines(decode_escaped(read_head(path)).lstrip("\ufeff")))
    base = folder_of(path)
    return any(
        _is_place(line) or is_base64_image(line.strip()) or _exists(base, line.strip())
        for line in islice(lines, 20)
    )


def has_header(path: str) -> bool:
    """Return whether the first line of a text is a header with an image column.

    Raises:
        InputError: The file cannot be read, or is not text.
    """
    text = decode_escaped(read_head(path)).lstrip("\ufeff")
    lines = (Line(line) for line in split_lines(text))
    table = open_table(lines, is_header=_is_header(None))
    if table is None or not _is_header(None)(table.names):
        return False
    return not _exists(folder_of(path), next(filter(str.strip, split_lines(text))).strip())


def _is_place(text: str) -> bool:
    """Return whether a text is a URL, or a path with the suffix of an image."""
    return _ADDRESS.match(text) is not None or text[-40:].strip().lower().endswith(IMAGE_SUFFIXES)


def _exists(folder: str, name: str) -> bool:
    try:
        return not is_object(folder) and (Path(folder) / name).is_file()
    except (OSError, ValueError):
        return False


@dataclass(slots=True)
class _Count:
    """Number of rows so far, and per kind of defect the number of lines and the first line."""

    n_rows: int = 0
    odd_lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, kind: str, line: int) -> None:
        """Count a line with a defect."""
        counted = self.odd_lines.setdefault(kind, [0, line])
        counted[0] += 1

    def log(self, path: str) -> None:
        """Log each kind of defect once."""
        for kind, (n_lines, first) in self.odd_lines.items():
            _log.warning("%s: %s (lines: %d, the first: %d)", path, kind, n_lines, first)


def _guarded(scheme: str, path: str, items: Callable[[_Count], Iterator[Item]]) -> Iterator[Item]:
    """Yield items; a list that cannot be read to its end gives one more item with the problem."""
    count = _Count()
    try:
        yield from items(count)
    except DAMAGE as error:
        is_flood = isinstance(error, PackedTooMuchError)
        yield bad_item(
            member_uri(scheme, path, "", mark=f"damaged-after-{count.n_rows}"),
            Reason.TOO_MANY_BYTES if is_flood else Reason.UNREADABLE,
            f"the list cannot be read after {counted(count.n_rows, 'row')}:"
            f" {error or type(error).__name__}",
        )
    count.log(path)


def _lines(stream: Any, options: SourceOptions, count: _Count | None = None) -> Iterator[Line]:
    number = 0
    for raw in raw_lines(stream, longest_row(options.limits)):
        number += raw.n_lines
        text = decode_escaped(raw.raw).rstrip("\r\n")
        if count is not None and not is_valid(text):
            count.add(_NOT_UTF8, number)
        yield Line(text, raw.offset, raw.n_bytes, raw.is_cut, raw.n_lines)


@dataclass(frozen=True, slots=True)
class _Csv:
    """Table with the indices of its columns of images, labels and domains."""

    table: Table
    records: Iterator[Record]
    image: int
    label: int | None
    domain: int | None


def _open_csv(lines: Iterator[Line], path: str, options: SourceOptions) -> _Csv:
    """Choose the columns of a table by its header and first rows."""
    table = open_table(
        lines,
        is_header=_is_header(options.image_column),
        tests_of=partial(_tests_of, options.image_column),
        max_chars=longest_row(options.limits),
    )
    if table is None:
        raise InputError(f"{path} is empty; its first line must be a header, such as path,label")
    names = [valid_text(name) for name in table.names]
    sampled: list[Record] = []
    damage: Exception | None = None
    try:
        sampled.extend(islice(table.records, _N_SAMPLED))
    except DAMAGE as error:
        damage = error

    def holds(name: str) -> bool:
        at = names.index(name)
        return not sampled or any(
            at < len(record.cells) and may_hold_image(record.cells[at]) for record in sampled
        )

    column = choose_column(names, options.image_column, path, holds=holds)
    label, domain = tag_columns(names, options, path)
    return _Csv(
        table,
        _records(sampled, table.records, damage),
        names.index(column),
        None if label is None else names.index(label),
        None if domain is None else names.index(domain),
    )


def _records(
    sampled: list[Record], rest: Iterator[Record], damage: Exception | None
) -> Iterator[Record]:
    yield from sampled
    if damage is not None:
        raise damage
    yield from rest


def _is_header(requested: str | None) -> Callable[[Sequence[str]], bool]:
    wanted = {requested.strip().lower()} if requested else set(IMAGE_COLUMNS)
    return lambda cells: any(cell.strip().lower() in wanted for cell in cells)


def _tests_of(requested: str | None, names: Sequence[str]) -> RowTests | None:
    """Return tests that recognise rows by cells with paths, URLs or base64 images."""
    wanted = {requested.strip().lower()} if requested else set(IMAGE_COLUMNS)
    places = [at for at, name in enumerate(names) if name.strip().lower() in wanted]
    if not places:
        return None

    def is_row(cells: Sequence[str]) -> bool:
        # Base64 may be wrapped: a line with nothing else may be a part of an image.
        return any(
            _is_place(cells[at]) or (len(cells) > 1 and _PACKED.match(cells[at]))
            for at in places
            if '"' not in cells[at]
        )

    def is_whole(cells: Sequence[str]) -> bool:
        return all("\n" not in cells[at].strip() or _PACKED.match(cells[at]) for at in places)

    return RowTests(is_row, is_whole)


def _csv_items(path: str, options: SourceOptions, count: _Count) -> Iterator[Item]:
    base = folder_of(path)
    label_key = column_of(options.label_from) or "label"
    domain_key = column_of(options.domain_from) or "domain"
    with open_list(path) as stream:
        opened = _open_csv(_lines(stream, options, count), path, options)
        n_cells = len(opened.table.names)
        for record in opened.records:
            uri = member_uri("csv", path, str(count.n_rows))
            count.n_rows += 1
            if record.note is not None:
                count.add(_STRAY_QUOTE, record.line)
            if record.is_cut:
                detail = f"line {record.line}: {record.n_bytes} bytes"
                yield bad_item(uri, Reason.TOO_MANY_BYTES, detail)
                continue
            cells = record.cells
            if len(cells) < n_cells or any(map(str.strip, cells[n_cells:])):
                detail = (
                    f"line {record.line}: {counted(len(cells), 'cell')}; the header has {n_cells}"
                )
                detail = f"{detail}; {record.note}" if record.note else detail
                mark = digest(repr(cells).encode())
                yield bad_item(uri, Reason.BAD_ROW, detail, fingerprint=mark)
                continue
            fields = {
                key: cells[at]
                for key, at in ((label_key, opened.label), (domain_key, opened.domain))
                if at is not None
            }
            holder = partial(
                _holder,
                path,
                record,
                opened.image,
                delimiter=opened.table.delimiter,
                n_cells=n_cells,
            )
            yield from items_of_cell(
                uri,
                cells[opened.image],
                fields,
                base,
                options,
                holder=holder,
                content=cells[opened.image].encode("utf-8", "surrogateescape"),
                note=record.note,
            )


def _holder(
    path: str,
    row: Record | JsonRow | Line,
    column: str | int | None,
    part: int | None,
    *,
    delimiter: str | None = None,
    n_cells: int = 1,
    is_text: bool = False,
) -> RowAddress:
    return RowAddress(
        path=path,
        offset=row.offset,
        n_bytes=row.n_bytes,
        column=column,
        delimiter=delimiter,
        n_cells=n_cells,
        is_text=is_text,
        part=part,
    )


def _json_items(scheme: str, path: str, options: SourceOptions, count: _Count) -> Iterator[Item]:
    base = folder_of(path)
    with open_list(path) as stream:
        for row in json_rows(stream, longest_row(options.limits)):
            uri = member_uri(scheme, path, str(count.n_rows))
            count.n_rows += 1
            if row.problem is not None:
                mark = digest(row.raw)
                yield bad_item(uri, Reason.BAD_ROW, row.problem, fingerprint=mark)
                continue
            if row.is_cut:
                yield bad_item(uri, Reason.TOO_MANY_BYTES, f"a line of {row.n_bytes} bytes")
                continue
            try:
                column = _json_column(row.value, options.image_column)
            except UnreadableImage as error:
                mark = digest(row.raw)
                yield bad_item(uri, error.reason, error.detail, fingerprint=mark)
                continue
            fields = row.value if column is not None else {}
            yield from items_of_cell(
                uri,
                row.value if column is None else row.value[column],
                fields,
                base,
                options,
                holder=partial(_holder, path, row, column),
                content=row.raw,
            )


def _json_column(value: Any, requested: str | None) -> str | None:
    """Return the key of the image in a row; None for a row that is itself a path."""
    if isinstance(value, str):
        return None
    if not isinstance(value, dict):
        detail = f"a JSON {type(value).__name__}; an object or a path is needed"
        raise UnreadableImage(Reason.BAD_ROW, detail)
    try:
        return choose_column(
            list(value), requested, "the row", holds=lambda name: may_hold_image(value[name])
        )
    except InputError as error:
        raise UnreadableImage(Reason.BAD_ROW, str(error)) from error


def _line_items(path: str, options: SourceOptions, count: _Count) -> Iterator[Item]:
    base = folder_of(path)
    with open_list(path) as stream:
        for line in _lines(stream, options, count):
            if not line.text.strip():
                continue
            uri = member_uri("txt", path, str(count.n_rows))
            count.n_rows += 1
            if line.is_cut:
                yield bad_item(uri, Reason.TOO_MANY_BYTES, f"a line of {line.n_bytes} bytes")
                continue
            yield from items_of_cell(
                uri,
                line.text,
                {},
                base,
                options,
                holder=partial(_holder, path, line, None, is_text=True),
                content=line.text.encode("utf-8", "surrogateescape"),
            )
