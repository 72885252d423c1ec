"""Lists of pictures in CSV and JSON Lines: one row, one item, whatever is wrong with it.

Rows count from 0, without the header; `jsonl:///a/x.jsonl!3` is the fourth. Lists are read
line by line, so their length costs no memory.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

from .errors import InputError, UnreadableImage
from .items import Address, Item, SourceOptions, bad_item, column_of
from .labelling import tags_of
from .locating import choose_column, locate, require_column
from .naming import member_uri
from .opening import ImageLimits
from .redaction import redact_text
from .schema import Reason

_DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class LineAddress:
    """A JSON line that holds the picture itself, by where the line lies in the file."""

    path: str
    offset: int
    n_bytes: int
    column: str

    def read(self, options: SourceOptions) -> bytes:
        """The picture's bytes, decoded from base64."""
        try:
            with Path(self.path).open("rb") as file:
                file.seek(self.offset)
                line = file.read(self.n_bytes)
        except OSError as error:
            raise UnreadableImage(Reason.NOT_FOUND, "the list is gone") from error
        place = locate(parse_line(line).get(self.column), _folder_of(self.path), options)
        if place.raw is None:
            raise UnreadableImage(Reason.BAD_ROW, "the list changed since it was listed")
        return place.raw


def parse_line(line: bytes) -> dict[str, Any]:
    """The object on one line; `UnreadableImage` (BAD_ROW) for anything else."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableImage(Reason.BAD_ROW, f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UnreadableImage(Reason.BAD_ROW, f"a JSON {type(row).__name__}; an object is needed")
    return row


def require_jsonl(path: str, options: SourceOptions) -> None:
    """Raises `InputError` unless the first line names a picture, or is damaged by itself."""
    line = next((line for _, line, _ in _lines(path, options.limits) if line.strip()), b"{}")
    try:
        first = parse_line(line)
    except UnreadableImage:
        return
    names = list(first)
    choose_column(names, options.image_column, path)


def list_jsonl(path: str, options: SourceOptions) -> Iterator[Item]:
    """The items of a JSON Lines file; empty lines are no rows."""
    row_index = -1
    for offset, line, n_bytes in _lines(path, options.limits):
        if n_bytes <= len(line) and not line.strip():
            continue
        row_index += 1
        uri = member_uri("jsonl", path, str(row_index))
        if n_bytes > len(line):
            yield bad_item(uri, Reason.TOO_MANY_BYTES, f"a line of {n_bytes} bytes")
            continue
        try:
            row = parse_line(line)
            column = _column_of_row(row, options.image_column)
        except UnreadableImage as error:
            yield bad_item(uri, error.reason, error.detail, fingerprint=_digest(line))
            continue
        here = LineAddress(path, offset, n_bytes, column)
        yield item_of_row(uri, row, column, path, options, holder=here, content=line)


def _column_of_row(row: dict[str, Any], asked: str | None) -> str:
    try:
        return choose_column(list(row), asked, "the row")
    except InputError as error:
        raise UnreadableImage(Reason.BAD_ROW, str(error)) from error


def _lines(path: str, limits: ImageLimits) -> Iterator[tuple[int, bytes, int]]:
    """Offset, bytes and length of each line; of one that is too long only the beginning."""
    # Base64 makes four of three; the rest of a row is given a megabyte.
    longest = limits.max_bytes // 3 * 4 + 2**20
    with Path(path).open("rb") as file:
        offset = 0
        while line := file.readline(longest):
            n_bytes = len(line)
            if n_bytes == longest and not line.endswith(b"\n"):
                while more := file.readline(2**20):
                    n_bytes += len(more)
                    if more.endswith(b"\n"):
                        break
            yield offset, line[:64] if n_bytes > longest else line, n_bytes
            offset += n_bytes


def item_of_row(
    uri: str,
    row: dict[str, Any],
    column: str,
    path: str,
    options: SourceOptions,
    *,
    holder: Address | None,
    content: bytes = b"",
) -> Item:
    """The item of one row of a list.

    Args:
        uri: Its name.
        row: Its cells.
        column: The one that holds the picture.
        path: The list's.
        options: Labels, domains, limits.
        holder: Reads the picture from the row when the row itself holds it; None where rows
            cannot hold pictures.
        content: The row's bytes, for the fingerprint of a picture in the row.
    """
    target = _digest(redact_text(str(row.get(column))[:4096]).encode("utf-8", "replace"))
    try:
        place = locate(row.get(column), _folder_of(path), options)
    except UnreadableImage as error:
        tags = tags_of(options, fields=row)
        return bad_item(uri, error.reason, error.detail, fingerprint=target, tags=tags)
    tags = tags_of(options, folders=place.folders, fields=row)
    address = place.address or holder
    if address is None:
        detail = "the row holds a picture; a path or a URL is needed here"
        return bad_item(uri, Reason.BAD_ROW, detail, fingerprint=target, tags=tags)
    named = place.fingerprint.encode("utf-8", "surrogateescape") if place.address else content
    return Item(
        source_uri=uri,
        fingerprint=_digest(named),
        label=tags.label,
        domain=tags.domain,
        note=tags.note,
        address=address,
    )


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def _folder_of(path: str) -> str:
    return str(Path(path).parent)


def require_csv(path: str, options: SourceOptions) -> None:
    """Raises `InputError` unless the header names a column of pictures and those asked for."""
    with _open_csv(path) as file:
        _header(file, path, options)


def _open_csv(path: str) -> IO[str]:
    # Names of files need not be UTF-8; what is not survives the way through the list.
    return Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _header(
    file: IO[str], path: str, options: SourceOptions
) -> tuple[list[str], str, Iterator[list[str]]]:
    """Column names, the column of pictures, and the rows behind the header."""
    line = file.readline(2**20)
    delimiter = max(_DELIMITERS, key=line.count)
    rows = csv.reader(chain([line], file), delimiter=delimiter)
    try:
        names = [name.strip() for name in next(rows, [])]
    except csv.Error as error:
        raise InputError(f"{path}: not a readable CSV: {error}") from error
    column = choose_column(names, options.image_column, path)
    for asked in (options.label_from, options.domain_from):
        require_column(names, column_of(asked), path)
    return names, column, rows


def list_csv(path: str, options: SourceOptions) -> Iterator[Item]:
    """The items of a CSV or TSV file with a header; empty lines are no rows."""
    with _open_csv(path) as file:
        names, column, rows = _header(file, path, options)
        row_index = -1
        while True:
            try:
                cells = next(rows, None)
            except csv.Error as error:
                row_index += 1
                yield bad_item(
                    member_uri("csv", path, str(row_index)), Reason.BAD_ROW, f"not CSV: {error}"
                )
                continue
            if cells is None:
                return
            if not cells:
                continue
            row_index += 1
            uri = member_uri("csv", path, str(row_index))
            if len(cells) != len(names):
                detail = f"{len(cells)} cells; the header has {len(names)}"
                yield bad_item(
                    uri, Reason.BAD_ROW, detail, fingerprint=_digest(repr(cells).encode())
                )
                continue
            row = dict(zip(names, cells, strict=True))
            yield item_of_row(uri, row, column, path, options, holder=None)
