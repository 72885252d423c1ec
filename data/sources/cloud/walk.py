"""Items below a prefix, in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ...errors import shorten
from ...object_addresses import ObjectName
from ...text.wording import counted
from ...vocabulary import Reason
from ..buckets.bucket import NOT_PLAIN, Bucket, ObjectInfo, is_plain
from ..buckets.object_address import ObjectAddress
from ..buckets.open_bucket import bucket_of
from ..folders.metadata import Metadata
from ..folders.walk import TABLE_SUFFIXES, items_of_table, load_table
from ..items import Item, SourceOptions, bad_item
from ..labelling import MAX_SIDECAR_BYTES, tags_of
from ..sidecars import Sidecars
from ..uris import file_uri, is_chosen, is_hidden, member_uri
from .groups import groups
from .survey import Survey, folders_above, survey

Choice = Literal["below", "itself", "not"]
"""How a key is chosen: as part of a folder, as a source of its own, or not at all."""


@dataclass(slots=True)
class _Labels:
    """Tables of labels of a folder, and which of their images the listing has."""

    folder: str
    tables: list[tuple[str, Metadata]]
    seen: set[str] = field(default_factory=set)


class Walk:
    """A walk below a prefix.

    Two passes over the listing: the first tells lakes and tables (`survey`), the second gives the
    items. Memory: one page of keys, the names of lakes and tables, and the tables of labels above
    the current key.

    Args:
        top: Address of the prefix; its key is "" or a folder without "/" at the end.
        options: Settings of listing.
        choose: Function from a key to how it is chosen.
        of_file: Function from an address to the items of an object that is a source of its own;
            None if it is an image.
        is_listed: Function that states whether an earlier source has listed an address.
    """

    def __init__(
        self,
        top: ObjectName,
        options: SourceOptions,
        *,
        choose: Callable[[Sequence[str]], Choice],
        of_file: Callable[[str], Iterator[Item] | None],
        is_listed: Callable[[str], bool] = lambda _address: False,
    ) -> None:
        self._top, self._options = top, options
        self._choose, self._of_file, self._is_listed = choose, of_file, is_listed
        self._bucket: Bucket = bucket_of(top)
        self._depth = len(top.key.split("/")) if top.key else 0
        self._labels: list[_Labels] = []
        self._entered: set[str] = set()

    def items(self) -> Iterator[Item]:
        """Yield the items; a listing that fails on the way gives one item with the problem."""
        n_items = 0
        try:
            found = survey(self._bucket.entries(self._top.key))
            for group in groups(self._bucket.entries(self._top.key)):
                for item in self._of_group(group, found):
                    n_items += 1
                    yield item
        except OSError as error:
            detail = shorten(f"after {counted(n_items, 'item')}, the listing failed: {error}")
            yield bad_item(file_uri(self._top.with_key(self._top.key)), Reason.FETCH_FAILED, detail)
            return
        yield from self._leave("")

    def _of_group(self, group: list[ObjectInfo], found: Survey) -> Iterator[Item]:
        sidecars = Sidecars([info.key for info in group]) if len(group) > 1 else Sidecars(())
        for info in group:
            yield from self._leave(info.key)
            self._enter(info.key, found)
            parts = info.key.split("/")[self._depth :]
            self._note_seen(info.key)
            if is_placeholder(info) or info.key in sidecars or found.is_in_lake(info.key):
                continue
            choice = self._choose(parts)
            address = self._top.with_key(info.key)
            if choice == "not" or not is_chosen(parts, self._options) or self._is_listed(address):
                continue
            if not is_plain(info.key):
                if not is_hidden([part for part in parts if part not in {".", ".."}]):
                    yield bad_item(file_uri(address), Reason.FETCH_FAILED, NOT_PLAIN)
            elif choice == "itself":
                yield from self._itself(info, address, sidecars)
            elif not is_hidden(parts) and not found.is_of_table(info.key):
                yield from self._below(info, address, sidecars)

    def _itself(self, info: ObjectInfo, address: str, sidecars: Sidecars) -> Iterator[Item]:
        items = None if self._is_table_of_labels(info.key) else self._of_file(address)
        yield from self._below(info, address, sidecars) if items is None else items

    def _below(self, info: ObjectInfo, address: str, sidecars: Sidecars) -> Iterator[Item]:
        if self._is_table_of_labels(info.key):
            return
        if info.key.lower().endswith(TABLE_SUFFIXES):
            above = (self._top.bucket, *info.key.split("/")[:-1])[self._depth :]
            yield from items_of_table(address, self._options, above or ("",))
        else:
            yield self._image(info, address, sidecars)

    def _image(self, info: ObjectInfo, address: str, sidecars: Sidecars) -> Item:
        beside, note = sidecars.of(info.key)
        try:
            bodies = {suffix: self._body(key) for suffix, key in beside.items()}
        except OSError as error:
            bodies, note = {}, note or f"a sidecar that cannot be read: {error}"
        return item_of_object(
            info, address, self._options, fields=self._fields(info.key), sidecars=bodies, note=note
        )

    def _body(self, key: str) -> bytes:
        return self._bucket.read_range(
            key, 0, min(MAX_SIDECAR_BYTES, self._bucket.head(key).n_bytes)
        )

    def _enter(self, key: str, found: Survey) -> None:
        for folder in folders_above(key) if found.labels else ():
            if folder in found.labels and all(known.folder != folder for known in self._labels):
                tables = [
                    (name, table)
                    for name in found.labels[folder]
                    if not found.is_in_lake(name)
                    and (table := load_table(self._top.with_key(name), self._options)) is not None
                ]
                self._labels.append(_Labels(folder, tables))

    def _leave(self, key: str) -> Iterator[Item]:
        """Yield the rows without an image of the tables in folders that a key does not lie in."""
        while self._labels and (not key or not key.startswith(self._labels[-1].folder)):
            left = self._labels.pop()
            for name, table in left.tables:
                missing = {
                    number: (Reason.NOT_FOUND, f"no such object: {path}")
                    for path, number in table.row_of.items()
                    if path not in left.seen
                }
                odd = {n: (Reason.BAD_ROW, problem) for n, problem in table.problems.items()}
                for number, problem in sorted((missing | odd).items()):
                    uri = member_uri(table.scheme, self._top.with_key(name), str(number))
                    yield bad_item(uri, *problem)

    def _note_seen(self, key: str) -> None:
        for labels in self._labels:
            below = key.removeprefix(labels.folder)
            if any(below in table.row_of for _, table in labels.tables):
                labels.seen.add(below)

    def _is_table_of_labels(self, key: str) -> bool:
        return any(key == name for labels in self._labels for name, _ in labels.tables)

    def _fields(self, key: str) -> dict[str, object]:
        for labels in reversed(self._labels):
            below = key.removeprefix(labels.folder)
            for _, table in labels.tables:
                if below in table.fields:
                    return table.fields[below]
        return {}


def is_placeholder(info: ObjectInfo) -> bool:
    """Return whether an object without bytes stands for a folder, as web consoles make them."""
    return info.n_bytes == 0 and "." not in info.key.rpartition("/")[2]


def item_of_object(
    info: ObjectInfo,
    address: str,
    options: SourceOptions,
    *,
    fields: dict[str, object] | None = None,
    sidecars: dict[str, bytes] | None = None,
    note: str | None = None,
) -> Item:
    """Return the item of an image.

    Args:
        info: Entry of the object in the listing.
        address: Address of the object.
        options: Settings of listing; `label_from` and `domain_from` are used.
        fields: Label and domain from a table of the folder.
        sidecars: Bytes of the sidecars by suffix.
        note: Note on an earlier problem.
    """
    tags = tags_of(
        options,
        folders=tuple(filter(None, info.key.split("/")[:-1])),
        fields=fields,
        sidecars=sidecars,
        note=note,
    )
    return Item(
        source_uri=file_uri(address),
        fingerprint=info.stamp,
        label=tags.label,
        domain=tags.domain,
        note=tags.note,
        address=ObjectAddress(address),
    )
