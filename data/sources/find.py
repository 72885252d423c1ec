"""From what a person names (a folder, an archive, a list, a URL) to items, one by one.

`find_items` lists without reading images, in an order that does not change from run to
run; `read_item` gives the bytes of one. What is wrong with one item is that item's problem;
what is wrong with a SOURCE as a whole stops the run before anything is ingested.

A kind of source is one row of `SOURCES`: the first that takes a text reads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

from ..errors import InputError
from ..schema import Reason
from ..store.lake_mark import is_lake, lake_of, require_no_lake
from .archives.tars import list_tar, require_tar
from .archives.zips import list_zip, require_zip
from .files import is_inside, is_sidecar, require_folder
from .folders.globs import expand_glob, has_magic
from .folders.walk import item_beside_metadata, items_of_labels, partitions_of, walk_folder
from .forms import Form, is_text_file
from .installed import InstalledSource, installed_schemes
from .items import Address, Item, SourceOptions, bad_item
from .lists.listings import (
    list_csv,
    list_json,
    list_lines,
    require_csv,
    require_json,
    require_lines,
)
from .parquet import list_parquet, require_parquet
from .protocol import FormSource, IsListed, SourceRef, SourceRow
from .uris import compile_pattern, file_uri, is_chosen, is_hidden, stamp_of
from .url_source import SCHEMES, UrlSource

__all__ = ["SOURCES", "Address", "Item", "SourceOptions", "find_items", "kind_of", "read_item"]


class _FolderSource:
    """A folder, with all below it."""

    name = "folder"

    def takes(self, ref: SourceRef) -> bool:
        return ref.is_folder

    def check(self, ref: SourceRef, _options: SourceOptions) -> None:
        require_folder(str(ref))

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        yield from walk_folder(str(ref), options, is_listed=is_listed)


class _GlobSource:
    """The files and folders that a glob names, each a source by itself."""

    name = "glob"

    def takes(self, ref: SourceRef) -> bool:
        return ref.path is not None and not ref.exists and has_magic(ref.text)

    def check(self, ref: SourceRef, _options: SourceOptions) -> None:
        if next(_outside_of_lakes(str(ref)), None) is not None:
            return
        inside = next(expand_glob(str(ref)), None)
        if inside is None:
            raise InputError(f"{ref}: nothing matches")
        require_no_lake(str(ref), inside)

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        for path in _outside_of_lakes(str(ref)):
            yield from _items_of_path(path, options, is_listed)


class _FileSource:
    """An image, or whatever else is no archive, table or list."""

    name = Form.FILE.value

    def takes(self, ref: SourceRef) -> bool:
        return ref.form is Form.FILE

    def check(self, ref: SourceRef, _options: SourceOptions) -> None:
        pass

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        path = str(ref)
        if not is_listed(path) and not is_sidecar(path):
            yield item_beside_metadata(path, options)


SOURCES: Final[tuple[SourceRow, ...]] = (
    UrlSource(),
    InstalledSource(),
    _FolderSource(),
    _GlobSource(),
    FormSource(Form.ZIP, require_zip, list_zip),
    FormSource(Form.TAR, require_tar, list_tar),
    FormSource(Form.PARQUET, require_parquet, list_parquet),
    FormSource(Form.JSONL, require_json, list_json),
    FormSource(Form.JSON, require_json, list_json),
    FormSource(Form.CSV, require_csv, list_csv),
    FormSource(Form.TXT, require_lines, list_lines),
    _FileSource(),
)
"""The kinds of source, in the order in which they are asked."""


def find_items(sources: Sequence[str], options: SourceOptions) -> Iterator[Item]:
    """Return the items of all sources, in the order of the sources, each listed lazily.

    A source given twice, or inside a folder given earlier, is listed once.

    Raises:
        InputError: At once, before the first item: a source does not exist, is of no known
            kind, or cannot be opened at all; or there is none.
    """
    if not sources:
        raise InputError("no source; name a file, folder, glob, archive, table or URL")
    for pattern in (*options.include, *options.exclude):
        compile_pattern(pattern)
    for root in options.roots:
        require_folder(os.path.expanduser(root))  # noqa: PTH111
    refs = {str(ref): ref for ref in map(SourceRef, sources)}.values()
    rows = [(_row_for(ref), ref) for ref in refs]
    if all(row.name == Form.FILE and is_text_file(str(ref)) for row, ref in rows):
        raise InputError(
            f"{rows[0][1]}: a text whose lines are neither paths nor addresses of images; write"
            " one on each line, relative to the list, or a CSV with a column path"
        )
    for row, ref in rows:
        if ref.exists:
            require_no_lake(str(ref), str(ref))
        row.check(ref, options)
    return _find(rows, options)


def read_item(item: Item, options: SourceOptions) -> bytes:
    """The bytes of one item; safe to call from many threads, and cheapest in listed order.

    Raises:
        UnreadableImage: And nothing else: the bytes cannot be had within the limits.
    """
    return item.address.read(options)


def kind_of(source: str) -> str:
    """Return the name of the row that reads a SOURCE.

    Raises:
        InputError: It does not exist, or is of a kind that is not read.
    """
    return _row_for(SourceRef(source)).name


def _row_for(ref: SourceRef) -> SourceRow:
    """Return the first row that takes a source: by scheme, by what lies on disk, by content."""
    try:
        row = next((row for row in SOURCES if row.takes(ref)), None)
    except (OSError, ValueError) as error:
        raise InputError(f"{ref.text}: {error}") from error
    if row is not None:
        return row
    if ref.path is None:
        allowed = ", ".join(["paths", "file", *SCHEMES, *installed_schemes()])
        raise InputError(f"{ref.text}: {ref.scheme}:// is not read; allowed: {allowed}")
    raise InputError(f"{ref.text}: no such file or folder (looked at {ref})")


def _find(rows: Sequence[tuple[SourceRow, SourceRef]], options: SourceOptions) -> Iterator[Item]:
    roots: list[str] = []
    named: set[str] = set()

    def is_listed(path: str) -> bool:
        if path in named:
            return True
        for root in roots:
            if is_inside(path, root):
                parts = Path(path).relative_to(root).parts
                return not is_hidden(parts) and is_chosen(parts, options)
        return False

    for row, ref in rows:
        path = str(ref)
        if row.name == _FolderSource.name:
            if any(is_inside(path, root) for root in roots):
                continue
            yield from row.items(ref, options, is_listed)
            roots.append(path)
        elif row.name != Form.PARQUET or not is_listed(path):
            yield from row.items(ref, options, is_listed)
            named.add(path)


def _outside_of_lakes(pattern: str) -> Iterator[str]:
    """The paths that a glob names, without those that are lakes or lie in one."""
    known: dict[str, bool] = {}
    for path in expand_glob(pattern):
        folder = os.path.dirname(path)  # noqa: PTH120
        if folder not in known:
            known[folder] = lake_of(folder) is not None
        if known[folder] or is_lake(path):
            continue
        if not os.path.islink(path) or lake_of(path) is None:  # noqa: PTH114
            yield path


def _items_of_path(path: str, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
    """The items of one path that a glob gave; one that cannot be read is an item that says so."""
    labels = items_of_labels(path, options)
    if labels is not None:
        yield from labels
        return
    ref = SourceRef(path)
    try:
        row = _row_for(ref) if ref.exists else _FileSource()
        if row.name == Form.PARQUET:
            # Folders such as `label=fake` above a table are columns of it.
            above = takewhile(lambda name: "=" in name, reversed(Path(path).parent.parts))
            columns = partitions_of(above)
            require_parquet(path, options, more=columns)
            found = list_parquet(path, options, more=columns)
        else:
            # A folder that may not be read is an item with a reason of its own.
            if row.name != _FolderSource.name:
                row.check(ref, options)
            found = row.items(ref, options, is_listed)
    except InputError as error:
        detail = str(error).removeprefix(f"{path}: ")
        yield bad_item(file_uri(path), Reason.UNREADABLE, detail, fingerprint=_stamp(path))
        return
    yield from found


def _stamp(path: str) -> str:
    try:
        return stamp_of(os.stat(path))  # noqa: PTH116
    except OSError:
        return "bad"
