"""Listing of sources: from a folder, an archive, a list or a URL to items, one by one.

`find_items` lists items without reading images, in the same order in every run; `read_item`
returns the bytes of one item. A defect of one item becomes that item's problem; a defect of a
whole SOURCE stops the run before anything is ingested.

`SOURCES` has one row per kind of source; the first row that takes a text reads it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

from ..errors import InputError, UnreadableImage
from ..object_addresses import SCHEMES as OBJECTS
from ..object_addresses import is_object, is_within
from ..store.lake_mark import is_lake, lake_of, require_no_lake
from ..text.redaction import redact_url
from ..vocabulary import Reason
from .archives.tars import list_tar, require_tar
from .archives.zips import list_zip, require_zip
from .cells import require_within
from .cloud.source import BucketSource
from .files import FileAddress, is_inside, is_sidecar, require_folder, root_of
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
from .memory.held_rows import MemorySource
from .parquet import list_parquet, require_parquet
from .protocol import FormSource, IsListed, SourceRef, SourceRow
from .source_list import is_source_list, read_source_list
from .uris import compile_pattern, file_uri, is_chosen, is_hidden, member_uri, stamp_of
from .url_source import SCHEMES, UrlSource

__all__ = ["SOURCES", "Address", "Item", "SourceOptions", "find_items", "kind_of", "read_item"]


class _FolderSource:
    """A folder and everything below it."""

    name = "folder"

    def takes(self, ref: SourceRef) -> bool:
        return ref.is_folder

    def check(self, ref: SourceRef, _options: SourceOptions) -> None:
        require_folder(str(ref))

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        yield from walk_folder(str(ref), options, is_listed=is_listed)


class _GlobSource:
    """Files and folders that match a glob, each a source of its own."""

    name = "glob"

    def takes(self, ref: SourceRef) -> bool:
        return ref.path is not None and not ref.exists and has_magic(ref.text)

    def check(self, ref: SourceRef, _options: SourceOptions) -> None:
        if next(_outside_of_lakes(str(ref)), None) is not None:
            return
        inside = next(expand_glob(str(ref)), None)
        if inside is None:
            raise InputError(f"{ref}: no file or folder matches the pattern")
        require_no_lake(str(ref), inside)

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        for path in _outside_of_lakes(str(ref)):
            yield from _items_of_path(path, options, is_listed)


class _FileSource:
    """An image, or any other file that is not an archive, table or list."""

    name = Form.FILE.value

    def takes(self, ref: SourceRef) -> bool:
        return ref.form is Form.FILE

    def check(self, ref: SourceRef, _options: SourceOptions) -> None:
        pass

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        path = str(ref)
        if not is_listed(path) and not is_sidecar(path):
            yield item_beside_metadata(path, options)


class _SourceList:
    """A list of sources, each of which is read as if it were named itself."""

    name = "source-list"

    def takes(self, ref: SourceRef) -> bool:
        return is_source_list(ref.text) and (is_object(ref.text) or ref.form is not None)

    def check(self, ref: SourceRef, _options: SourceOptions) -> None:
        next(read_source_list(str(ref)), None)

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        for number, source in enumerate(read_source_list(str(ref))):
            if source is None:
                uri = member_uri("sources", str(ref), "", mark=number)
                yield bad_item(uri, Reason.BAD_ROW, "not the URI of a source as a JSON text")
            else:
                yield from _items_of_listed(source, options, is_listed)


FORMS: Final = (
    FormSource(Form.ZIP, require_zip, list_zip),
    FormSource(Form.TAR, require_tar, list_tar),
    FormSource(Form.PARQUET, require_parquet, list_parquet),
    FormSource(Form.JSONL, require_json, list_json),
    FormSource(Form.JSON, require_json, list_json),
    FormSource(Form.CSV, require_csv, list_csv),
    FormSource(Form.TXT, require_lines, list_lines),
)
"""Files with items inside, on disk or in a bucket."""

SOURCES: Final[tuple[SourceRow, ...]] = (
    _SourceList(),
    UrlSource(),
    BucketSource(FORMS),
    MemorySource(),
    InstalledSource(),
    _FolderSource(),
    _GlobSource(),
    *FORMS,
    _FileSource(),
)
"""Kinds of sources; the first that takes a text reads it."""


def find_items(sources: Sequence[str], options: SourceOptions) -> Iterator[Item]:
    """Return a lazy iterator over the items of all sources, in the order of the sources.

    A source that is repeated, or lies inside an earlier folder, is listed once.

    Args:
        sources: Paths, globs and URLs.
        options: Settings of listing and reading.

    Raises:
        InputError: There is no source, or a source does not exist, is of an unknown kind, or
            cannot be opened. Raised by the call itself, before the first item.
    """
    if not sources:
        raise InputError("no source; name a file, folder, glob, archive, table or URL")
    for pattern in (*options.include, *options.exclude):
        compile_pattern(pattern)
    for root in filter(lambda root: not is_object(root), options.roots):
        require_folder(os.path.expanduser(root))  # noqa: PTH111
    refs = {str(ref): ref for ref in map(SourceRef, sources)}.values()
    rows = [(_row_for(ref), ref) for ref in refs]
    if all(row.name == Form.FILE and is_text_file(str(ref)) for row, ref in rows):
        raise InputError(
            f"{rows[0][1]}: a text file without paths or URLs of images; write one per line,"
            " relative to the list, or give a CSV with a column path"
        )
    for row, ref in rows:
        if ref.exists:
            require_no_lake(str(ref), str(ref))
        row.check(ref, options)
    return _find(rows, options)


def read_item(item: Item, options: SourceOptions) -> bytes:
    """Return the bytes of an item. Thread-safe; fastest in listed order.

    Raises:
        UnreadableImage: The bytes cannot be read within the limits. No other error is raised.
    """
    return item.address.read(options)


def kind_of(source: str) -> str:
    """Return the kind of a SOURCE, the name of its row in `SOURCES`.

    Raises:
        InputError: The source does not exist, or is of an unsupported kind.
    """
    return _row_for(SourceRef(source)).name


def _row_for(ref: SourceRef) -> SourceRow:
    """Return the first row that takes a source, by scheme, by file type or by content."""
    try:
        row = next((row for row in SOURCES if row.takes(ref)), None)
    except (OSError, ValueError) as error:
        raise InputError(f"{ref.text}: {error}") from error
    if row is not None:
        return row
    if ref.path is None:
        allowed = ", ".join(["paths", "file", *SCHEMES, *OBJECTS, *installed_schemes()])
        raise InputError(f"{ref.text}: {ref.scheme}:// is not supported; allowed: {allowed}")
    raise InputError(f"{ref.text}: no such file or folder (absolute path: {ref})")


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
        elif row.name == BucketSource.name:
            yield from row.items(ref, options, is_listed)
            roots.append(path.rstrip("/"))
        elif row.name != Form.PARQUET or not is_listed(path):
            yield from row.items(ref, options, is_listed)
            named.add(path)


def _outside_of_lakes(pattern: str) -> Iterator[str]:
    """Yield the paths that match a glob, without lakes and paths inside a lake."""
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
    """Yield the items of one path of a glob; an unreadable path is one item with a problem."""
    labels = items_of_labels(path, options)
    if labels is not None:
        yield from labels
        return
    ref = SourceRef(path)
    try:
        row = _row_for(ref) if ref.exists else _FileSource()
        if row.name == Form.PARQUET:
            # Folders such as `label=fake` above a table are its columns (Hive partitions).
            above = takewhile(lambda name: "=" in name, reversed(Path(path).parent.parts))
            columns = partitions_of(above)
            require_parquet(path, options, more=columns)
            found = list_parquet(path, options, more=columns)
        else:
            # An unreadable folder becomes an item with a reason in `walk_folder`.
            if row.name != _FolderSource.name:
                row.check(ref, options)
            found = row.items(ref, options, is_listed)
    except InputError as error:
        detail = str(error).removeprefix(f"{path}: ")
        yield bad_item(file_uri(path), Reason.UNREADABLE, detail, fingerprint=_stamp(path))
        return
    yield from found


def _items_of_listed(source: str, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
    """Yield the items of a source that a list names; a file must lie below the roots, if any."""
    ref = SourceRef(source)
    if ref.path is None:
        try:
            if is_object(source):
                require_within(source, options.roots)
            row = _row_for(ref)
            row.check(ref, options)
        except UnreadableImage as error:
            yield bad_item(redact_url(source), error.reason, error.detail)
            return
        except InputError as error:
            yield bad_item(redact_url(source), Reason.BAD_ROW, str(error))
            return
        yield from row.items(ref, options, is_listed)
        return
    root = None
    try:
        if options.roots:
            root = root_of(ref.path, options.roots)
        require_no_lake(ref.path, ref.path)
    except UnreadableImage as error:
        yield bad_item(file_uri(ref.path), error.reason, error.detail)
        return
    except InputError as error:
        yield bad_item(file_uri(ref.path), Reason.NOT_AN_IMAGE, str(error))
        return
    for item in _items_of_path(ref.path, options, is_listed):
        if root is not None and isinstance(item.address, FileAddress):
            # Checked again when the file is read: a link may have taken its place.
            yield dataclasses.replace(item, address=FileAddress(item.address.path, root))
        else:
            yield item


def _is_in_roots(source: str, roots: Sequence[str]) -> bool:
    return any(is_within(source, root) for root in roots if is_object(root))


def _stamp(path: str) -> str:
    try:
        return stamp_of(os.stat(path))  # noqa: PTH116
    except OSError:
        return "bad"
