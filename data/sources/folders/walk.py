"""Items below a folder: its images and the rows of its Parquet files, without lakes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from ...errors import InputError
from ...store.lake_mark import is_lake, lake_of
from ...vocabulary import Reason
from ..buckets.open_file import file_stamp, open_file
from ..files import (
    explain_os_error,
    is_inside,
    item_of_file,
    leads_out,
    list_folder,
    named_sidecars,
)
from ..items import Item, SourceOptions, bad_item
from ..lists.list_files import DAMAGE, open_list
from ..parquet import list_parquet, require_parquet
from ..sidecars import Sidecars
from ..uris import file_uri, is_chosen, is_hidden, member_uri, stamp_of
from .metadata import NAMES, Metadata, is_metadata, read_metadata

TABLE_SUFFIXES: Final = (".parquet", ".parq", ".pq")


def walk_folder(
    root: str, options: SourceOptions, *, is_listed: Callable[[str], bool] = lambda _path: False
) -> Iterator[Item]:
    """Yield the items below a folder: the files of a folder by name, then its subfolders by name.

    Not items are hidden files and folders, sidecars, tables of labels, lakes, and files that the
    patterns exclude. A Parquet file with images gives one item per row; folders such as
    `label=fake` above it are its columns. Beside it, names with a leading underscore are not items;
    nor is the dataset card beside its folder `data`. Links to files inside the folder are
    followed, links out of it become `unsafe_path`, and links to folders are never followed, which
    excludes loops. Memory: the names in one folder, and the tables of labels above it.

    Args:
        root: Absolute path of the folder.
        options: Settings of listing.
        is_listed: Function that states whether an earlier source has listed a path.
    """
    real_root = os.path.realpath(root)
    waiting: list[tuple[tuple[str, ...], _Tables]] = [((), ())]
    while waiting:
        below, tables = waiting.pop()
        folder = _join(root, *below)
        try:
            files, folders, odd = list_folder(folder)
        except OSError as error:
            reason, detail = explain_os_error(error)
            yield bad_item(file_uri(folder), reason, detail)
            continue
        shown = [name for name in files if not is_hidden([name])]
        own = _metadata_among(folder, shown, options, real_root)
        # The nearest table that names an image takes precedence.
        tables = (*((len(below), table) for table in own.values()), *tables)
        sidecars = Sidecars(shown)
        above = (Path(real_root).name, *below)
        has_tables = any(name.lower().endswith(TABLE_SUFFIXES) for name in shown) or any(
            "=" in name for name in folders
        )
        waiting.extend(
            ((*below, name), tables)
            for name in reversed(folders)
            if not is_hidden([name])
            and not (has_tables and name in TABLE_FOLDERS)
            and not is_lake(_join(folder, name))
        )
        is_dataset = "data" in folders and _holds_tables(_join(folder, "data"))
        for name in shown:
            path = _join(folder, name)
            if name in sidecars or not is_chosen((*below, name), options) or is_listed(path):
                continue
            if name in own:
                yield from _problems(path, folder, own[name])
            elif name.lower().endswith(TABLE_SUFFIXES):
                barred = _why_barred(path, real_root)
                if barred is None:
                    yield from items_of_table(path, options, above)
                else:
                    yield bad_item(file_uri(path), *barred)
            elif not (has_tables and name.startswith("_")) and not (
                is_dataset and name in DATASET_CARDS
            ):
                fields = _fields_of((*below, name), tables)
                yield item_of_file(
                    path, options, folders=above, sidecars=sidecars, root=real_root, fields=fields
                )
        for name in odd:
            path = _join(folder, name)
            if is_hidden([name]) or not is_chosen((*below, name), options):
                continue
            if not is_inside(os.path.realpath(path), real_root):
                yield bad_item(
                    file_uri(path), Reason.UNSAFE_PATH, "a link to a folder outside the source"
                )


def _holds_tables(folder: str) -> bool:
    try:
        return any(name.lower().endswith(TABLE_SUFFIXES) for name in os.listdir(folder))  # noqa: PTH208
    except OSError:
        return False


def item_beside_metadata(path: str, options: SourceOptions) -> Item:
    """Return the item of a single file, with labels from sidecars and tables in its folder."""
    folder, name = os.path.split(path)
    fields: dict[str, object] = {}
    for table in NAMES:
        beside = _join(folder, table)
        if os.path.isfile(beside):  # noqa: PTH113
            found = _kept_metadata(beside, stamp_of(os.stat(beside)), options)  # noqa: PTH116
            fields |= found.fields.get(name, {}) if found is not None else {}
    return item_of_file(
        path,
        options,
        folders=tuple(Path(folder).parts[-1:]),
        sidecars=named_sidecars(path),
        fields=fields,
    )


# Files beside `data/` in datasets of Hugging Face and of `assay publish`.
DATASET_CARDS: Final = ("README.md", "VERSIONS.lock", "dataset_infos.json")


def items_of_labels(path: str, options: SourceOptions) -> Iterator[Item] | None:
    """Return the items of a table of labels, its rows without an image; None for other files."""
    folder, name = os.path.split(path)
    table = load_table(path, options) if is_metadata(name) else None
    return None if table is None else _problems(path, folder, table)


_HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
# Folders of Spark and Delta beside their tables: uncommitted parts, and logs.
TABLE_FOLDERS: Final = frozenset({"_temporary", "_delta_log", "_spark_metadata"})

_Tables = tuple[tuple[int, Metadata], ...]


def _fields_of(parts: tuple[str, ...], tables: _Tables) -> dict[str, object]:
    for depth, table in tables:
        fields = table.fields.get("/".join(parts[depth:]))
        if fields is not None:
            return fields
    return {}


def _metadata_among(
    folder: str, names: list[str], options: SourceOptions, root: str
) -> dict[str, Metadata]:
    """Return the tables of labels among the files of a folder, by file name."""
    found = {}
    for name in names:
        if is_metadata(name) and not leads_out(_join(folder, name), root):
            table = load_table(_join(folder, name), options)
            if table is not None:
                found[name] = table
    return found


def load_table(path: str, options: SourceOptions) -> Metadata | None:
    """Return a table of labels; None for a file that is none or cannot be read."""
    try:
        if path.lower().endswith(".parquet"):
            with open_file(path) as file:
                return read_metadata(os.path.basename(path), file, options)  # noqa: PTH119
        with open_list(path) as stream:
            return read_metadata(os.path.basename(path), stream, options)  # noqa: PTH119
    except DAMAGE:
        return None


@lru_cache(maxsize=8)
def _kept_metadata(path: str, _stamp: str, options: SourceOptions) -> Metadata | None:
    return load_table(path, options)


def _problems(path: str, folder: str, table: Metadata) -> Iterator[Item]:
    """Yield an item for each row without an image in a table of labels."""
    missing = {
        number: (Reason.NOT_FOUND, f"no such file: {name}")
        for name, number in table.row_of.items()
        if not os.path.lexists(_join(folder, name))
    }
    odd = {number: (Reason.BAD_ROW, problem) for number, problem in table.problems.items()}
    for number, (reason, detail) in sorted((missing | odd).items()):
        uri = member_uri(table.scheme, path, str(number))
        yield bad_item(uri, reason, detail)


def _why_barred(path: str, root: str) -> tuple[Reason, str] | None:
    """Return why a link to a table is not followed; None if the table may be read."""
    if leads_out(path, root):
        return Reason.UNSAFE_PATH, "a link that leads out of its folder; name the file as a SOURCE"
    if os.path.islink(path) and lake_of(path) is not None:  # noqa: PTH114
        return Reason.NOT_AN_IMAGE, "a link into an assay lake, which is not a source"
    return None


def items_of_table(path: str, options: SourceOptions, above: tuple[str, ...]) -> Iterator[Item]:
    """Yield the items of a Parquet file; a file without images is one item with a problem."""
    partitions = partitions_of(above[1:])
    try:
        require_parquet(path, options, more=partitions)
    except InputError as error:
        detail = str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
        is_damaged = "not a readable Parquet file" in detail
        reason = Reason.UNREADABLE if is_damaged else Reason.NOT_AN_IMAGE
        try:
            stamp = file_stamp(path)
        except OSError:
            stamp = "bad"
        yield bad_item(file_uri(path), reason, detail, fingerprint=stamp)
        return
    yield from list_parquet(path, options, more=partitions, folders=above)


def partitions_of(folders: Iterable[str]) -> dict[str, object]:
    """Return the columns given by folder names such as `label=fake` (Hive partitions)."""
    pairs = (name.partition("=") for name in folders)
    return {
        key: None if value == _HIVE_NULL else unquote(value)
        for key, equals, value in pairs
        if equals
    }


def _join(*parts: str) -> str:
    return os.path.join(*parts)  # noqa: PTH118
