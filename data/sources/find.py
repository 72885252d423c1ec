"""From what a person names (a folder, an archive, a list, a URL) to items, one by one.

`find_items` lists without reading pictures, in an order that does not change from run to
run; `read_item` gives the bytes of one. What is wrong with one item is that item's problem;
what is wrong with a SOURCE as a whole stops the run before anything is ingested.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from ..errors import InputError
from ..images.sniff import Kind, sniff
from ..schema import Reason
from ..store.lake_mark import is_lake, lake_of, require_no_lake
from ..text.redaction import redact_url
from .archives.packed import unpacker_of
from .archives.tars import list_tar, require_tar
from .archives.zips import list_zip, require_zip
from .cells import UrlAddress
from .folders.files import (
    is_inside,
    is_sidecar,
    require_folder,
)
from .folders.globs import expand_glob, has_magic
from .folders.walk import (
    item_beside_metadata,
    items_of_labels,
    partitions_of,
    walk_folder,
)
from .items import Address, Item, SourceOptions, bad_item
from .labelling import tags_of
from .lists.list_files import PACKED_SUFFIXES, read_head
from .lists.listings import (
    has_header,
    list_csv,
    list_json,
    list_lines,
    looks_like_list,
    require_csv,
    require_json,
    require_lines,
)
from .parquet import list_parquet, require_parquet
from .uris import compile_pattern, file_uri, is_chosen, is_hidden, path_of_uri, stamp_of
from .web.fetched import NO_MARK

__all__ = ["Address", "Item", "SourceKind", "SourceOptions", "find_items", "kind_of", "read_item"]


class SourceKind(StrEnum):
    """What a SOURCE is."""

    FOLDER = "folder"
    FILE = "file"
    GLOB = "glob"
    URL = "url"
    ZIP = "zip"
    TAR = "tar"
    PARQUET = "parquet"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    TXT = "txt"


_BY_SUFFIX: Final = {
    ".zip": SourceKind.ZIP,
    ".cbz": SourceKind.ZIP,
    ".tar": SourceKind.TAR,
    ".tar.gz": SourceKind.TAR,
    ".tgz": SourceKind.TAR,
    ".tar.bz2": SourceKind.TAR,
    ".tbz2": SourceKind.TAR,
    ".tar.xz": SourceKind.TAR,
    ".txz": SourceKind.TAR,
    ".tar.zst": SourceKind.TAR,
    ".tzst": SourceKind.TAR,
    ".parquet": SourceKind.PARQUET,
    ".parq": SourceKind.PARQUET,
    ".pq": SourceKind.PARQUET,
}
# Tables that are not read, of which some are ZIP archives or text to look at.
_OTHER_TABLES: Final = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods"), "a spreadsheet"),
    **dict.fromkeys((".feather", ".arrow", ".orc", ".avro"), "a table of another kind"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3", ".duckdb"), "a database"),
}
_LIST_SUFFIXES: Final = {
    ".jsonl": SourceKind.JSONL,
    ".ndjson": SourceKind.JSONL,
    ".json": SourceKind.JSON,
    ".csv": SourceKind.CSV,
    ".tsv": SourceKind.CSV,
    ".txt": SourceKind.TXT,
    ".lst": SourceKind.TXT,
}
_BY_MAGIC: Final = {
    "ZIP": SourceKind.ZIP,
    "TAR": SourceKind.TAR,
    "gzip": SourceKind.TAR,
    "bzip2": SourceKind.TAR,
    "xz": SourceKind.TAR,
    "Zstandard": SourceKind.TAR,
    "Parquet": SourceKind.PARQUET,
}
_REQUIRE: Final[dict[SourceKind, Callable[[str, SourceOptions], None]]] = {
    SourceKind.FOLDER: lambda path, _options: require_folder(path),
    SourceKind.ZIP: lambda path, _options: require_zip(path),
    SourceKind.TAR: lambda path, _options: require_tar(path),
    SourceKind.PARQUET: require_parquet,
    SourceKind.JSONL: require_json,
    SourceKind.JSON: require_json,
    SourceKind.CSV: require_csv,
    SourceKind.TXT: require_lines,
}
_LIST: Final[dict[SourceKind, Callable[[str, SourceOptions], Iterator[Item]]]] = {
    SourceKind.ZIP: list_zip,
    SourceKind.TAR: list_tar,
    SourceKind.PARQUET: list_parquet,
    SourceKind.JSONL: list_json,
    SourceKind.JSON: list_json,
    SourceKind.CSV: list_csv,
    SourceKind.TXT: list_lines,
}


def find_items(sources: Sequence[str], options: SourceOptions) -> Iterator[Item]:
    """The items of all sources, in the order of the sources, each listed lazily.

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
    found = [(kind_of(source), _plain(source)) for source in dict.fromkeys(sources)]
    if all(kind is SourceKind.FILE and _is_text_file(path) for kind, path in found):
        raise InputError(
            f"{found[0][1]}: a text whose lines are neither paths nor addresses of pictures; write"
            " one on each line, relative to the list, or a CSV with a column path"
        )
    for kind, source in found:
        if kind is SourceKind.GLOB:
            _require_match(source)
        elif kind is not SourceKind.URL:
            require_no_lake(source, source)
        if kind in _REQUIRE:
            _REQUIRE[kind](source, options)
    return _find(dict.fromkeys(found), options)


def read_item(item: Item, options: SourceOptions) -> bytes:
    """The bytes of one item; safe to call from many threads, and cheapest in listed order.

    Raises:
        UnreadableImage: And nothing else: the bytes cannot be had within the limits.
    """
    return item.address.read(options)


def kind_of(source: str) -> SourceKind:
    """What a SOURCE is: by its scheme, by what lies on disk, by its suffix, by its first bytes.

    Raises:
        InputError: It does not exist, or is of a kind that is not read.
    """
    scheme, separator, _ = source.partition("://")
    if separator and scheme.lower() in {"http", "https"}:
        return SourceKind.URL
    if separator and scheme.lower() != "file":
        raise InputError(f"{source}: {scheme}:// is not read; allowed: paths, file, http, https")
    path = _plain(source)
    try:
        if os.path.isdir(path):  # noqa: PTH112
            return SourceKind.FOLDER
        if not os.path.exists(path):  # noqa: PTH110
            if has_magic(source):
                return SourceKind.GLOB
            raise InputError(f"{source}: no such file or folder (looked at {path})")
        return _kind_of_file(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: {error}") from error


def _kind_of_file(path: str) -> SourceKind:
    name = Path(path).name.lower()
    for suffix, kind in _BY_SUFFIX.items():
        if name.endswith(suffix):
            return kind
    if not Path(path).is_file():
        raise InputError(f"{path}: neither a file nor a folder")
    if (other := _OTHER_TABLES.get(Path(name).suffix)) is not None:
        raise InputError(f"{path}: {other}, which is not read; save it as CSV or Parquet")
    with Path(path).open("rb") as file:
        head = file.read(1024)
    packed = next((suffix for suffix in PACKED_SUFFIXES if name.endswith(suffix)), "")
    list_kind = _LIST_SUFFIXES.get(Path(name.removesuffix(packed)).suffix)
    is_packed = unpacker_of(path) is not None
    if list_kind is not None and (is_packed or not packed):
        if is_sidecar(path):
            return SourceKind.FILE
        return _kind_of_text(path) if list_kind is SourceKind.TXT else list_kind
    seen = sniff(head)
    if is_packed:
        return _kind_of_packed(path, seen.name)
    if seen.kind is Kind.ARCHIVE:
        if seen.name in _BY_MAGIC:
            return _BY_MAGIC[seen.name]
        raise InputError(f"{path}: {seen.name} archives are not read; unpack it, or use zip or tar")
    return SourceKind.FILE


def _kind_of_text(path: str) -> SourceKind:
    """A list with a header, one path per line, or any other text."""
    try:
        if has_header(path):
            return SourceKind.CSV
        return SourceKind.TXT if looks_like_list(path) else SourceKind.FILE
    except InputError:
        return SourceKind.FILE


def _kind_of_packed(path: str, packing: str) -> SourceKind:
    """What is in a file that was packed by itself: an archive, or a list by its first bytes."""
    try:
        head = read_head(path)
    except InputError:
        # Not text: an archive, or damage that opening it as one will name.
        return SourceKind.TAR
    if sniff(head).name == "TAR":
        return SourceKind.TAR
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}:
        return SourceKind.JSON
    kind = _kind_of_text(path)
    if kind is SourceKind.FILE:
        raise InputError(
            f"{path}: {packing}, and neither a TAR archive nor a list of pictures inside; name it"
            " by what it holds, such as list.csv.gz, or unpack it"
        )
    return kind


def _plain(source: str) -> str:
    """A source without `file://` and `~`, absolute; URLs and globs likewise usable."""
    scheme, separator, _ = source.partition("://")
    if separator and scheme.lower() in {"http", "https"}:
        return source
    if separator and scheme.lower() == "file":
        return os.fsdecode(unquote_to_bytes(path_of_uri(source)))
    return os.path.abspath(os.path.expanduser(source))  # noqa: PTH100, PTH111


def _find(found: dict[tuple[SourceKind, str], None], options: SourceOptions) -> Iterator[Item]:
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

    for kind, source in found:
        if kind is SourceKind.FOLDER:
            if not any(is_inside(source, root) for root in roots):
                yield from walk_folder(source, options, is_listed=is_listed)
                roots.append(source)
        elif kind is SourceKind.GLOB:
            for path in _outside_of_lakes(source):
                yield from _items_of_path(path, options, is_listed)
        elif kind is SourceKind.FILE:
            yield from _items_of_path(source, options, is_listed)
            named.add(source)
        elif kind is SourceKind.URL:
            yield _item_of_url(source, options)
        elif kind is SourceKind.PARQUET and is_listed(source):
            continue
        else:
            named.add(source)
            yield from _LIST[kind](source, options)


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


def _require_match(pattern: str) -> None:
    if next(_outside_of_lakes(pattern), None) is not None:
        return
    inside = next(expand_glob(pattern), None)
    if inside is None:
        raise InputError(f"{pattern}: nothing matches")
    require_no_lake(pattern, inside)


def _items_of_path(
    path: str, options: SourceOptions, is_listed: Callable[[str], bool]
) -> Iterator[Item]:
    """The items of one path that a glob gave; one that cannot be read is an item that says so."""
    labels = items_of_labels(path, options)
    if labels is not None:
        yield from labels
        return
    try:
        kind = kind_of(path) if os.path.exists(path) else SourceKind.FILE  # noqa: PTH110
        above = takewhile(lambda name: "=" in name, reversed(Path(path).parent.parts))
        columns = partitions_of(above)
        if kind is SourceKind.PARQUET:
            require_parquet(path, options, more=columns)
        elif kind in _LIST:
            _REQUIRE[kind](path, options)
    except InputError as error:
        detail = str(error).removeprefix(f"{path}: ")
        yield bad_item(file_uri(path), Reason.UNREADABLE, detail, fingerprint=_stamp(path))
        return
    if kind is SourceKind.FOLDER:
        yield from walk_folder(path, options, is_listed=is_listed)
    elif kind is SourceKind.PARQUET:
        yield from list_parquet(path, options, more=columns)
    elif kind in _LIST:
        yield from _LIST[kind](path, options)
    elif not is_listed(path) and not is_sidecar(path):
        yield item_beside_metadata(path, options)


def _stamp(path: str) -> str:
    try:
        return stamp_of(os.stat(path))  # noqa: PTH116
    except OSError:
        return "bad"


def _is_text_file(path: str) -> bool:
    name = Path(path).name.lower()
    for suffix in PACKED_SUFFIXES:
        name = name.removesuffix(suffix)
    return _LIST_SUFFIXES.get(Path(name).suffix) is SourceKind.TXT and not is_sidecar(path)


def _item_of_url(url: str, options: SourceOptions) -> Item:
    from .web.http import fingerprint_of_url

    tags = tags_of(options, folders=Path(path_of_uri(url)).parts[:-1][-1:])
    return Item(
        source_uri=redact_url(url),
        fingerprint=fingerprint_of_url(url, options) or NO_MARK,
        label=tags.label,
        domain=tags.domain,
        note=tags.note,
        address=UrlAddress(url, asks_again=False),
    )
