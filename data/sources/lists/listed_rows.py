"""Items of one row of a list or table: usually one, or one per image in a list of images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...errors import UnreadableImage
from ...object_addresses import folder_of
from ...text.redaction import redact_text
from ...text.unicode import decode_escaped, split_lines
from ...vocabulary import Reason
from ..cells import images_in, locate
from ..items import Address, Item, SourceOptions, bad_item
from ..labelling import tags_of
from .delimited import split_record
from .json_rows import parse_json
from .list_files import read_at

_CHANGED: Final = "the list changed since it was listed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAddress:
    """Address of an image inside a row, by the position of the row in the list's text.

    Attributes:
        path: Path of the list.
        offset: Offset of the row in the decompressed UTF-8 text, in bytes.
        n_bytes: Length of the row in bytes.
        column: Key of the image in a JSON object, or index of the cell; None for the whole row.
        delimiter: Delimiter of cells; None for lists that are not delimited text.
        n_cells: Number of cells in a row of delimited text.
        is_text: Whether the row is a line of plain text, not JSON.
        part: Index of the image in a list of images; None for a single image.
    """

    path: str
    offset: int
    n_bytes: int
    column: str | int | None = None
    delimiter: str | None = None
    n_cells: int = 1
    is_text: bool = False
    part: int | None = None

    def read(self, options: SourceOptions) -> bytes:
        """Return the image's bytes, decoded from base64.

        Raises:
            UnreadableImage: The list was removed, damaged or changed since it was listed, or the
                row has no image.
        """
        raw = read_at(self.path, self.offset, self.n_bytes)
        try:
            cell = self._cell(raw)
            if self.part is not None:
                cell = (images_in(cell) or [])[self.part]
        except (ValueError, LookupError, TypeError) as error:
            raise UnreadableImage(Reason.BAD_ROW, _CHANGED) from error
        place = locate(cell, folder_of(self.path), options)
        if place.raw is None:
            raise UnreadableImage(Reason.BAD_ROW, _CHANGED)
        return place.raw

    def _cell(self, raw: bytes) -> Any:
        if self.delimiter is not None:
            lines = list(split_lines(decode_escaped(raw)))
            return split_record(lines, self.delimiter, self.n_cells)[int(self.column or 0)]
        if self.is_text:
            return decode_escaped(raw)
        value = parse_json(raw)
        return value if self.column is None else value[self.column]


def items_of_cell(
    uri: str,
    cell: object,
    fields: Mapping[str, object],
    base: str,
    options: SourceOptions,
    *,
    holder: Callable[[int | None], Address],
    content: bytes = b"",
    note: str | None = None,
) -> Iterator[Item]:
    """Yield the items of one row of a list.

    Args:
        uri: URI of the row; an image in a list of images gets its index after a slash.
        cell: Cell with the image, a reference to it, or a list of such cells.
        fields: Label and domain of the row, if it has them.
        base: Folder that relative paths start from.
        options: Settings of listing and reading.
        holder: Function from the index in a list of images, or None, to the address of an image
            inside the row.
        content: Bytes of the row, for the fingerprint of an image inside it.
        note: Note on a defect of the row; None for none.
    """
    parts = images_in(cell)
    if parts is None:
        yield _item(uri, cell, fields, base, options, holder(None), content, note)
    elif not parts:
        tags = tags_of(options, fields=fields, note=note)
        yield bad_item(uri, Reason.BAD_ROW, "a list without an image", tags=tags)
    else:
        for number, part in enumerate(parts):
            name = f"{uri}/{number}"
            yield _item(name, part, fields, base, options, holder(number), content, note)


def _item(
    uri: str,
    cell: object,
    fields: Mapping[str, object],
    base: str,
    options: SourceOptions,
    holder: Address,
    content: bytes,
    note: str | None,
) -> Item:
    try:
        place = locate(cell, base, options)
    except UnreadableImage as error:
        target = digest(redact_text(str(cell)[:4096]).encode("utf-8", "replace"))
        tags = tags_of(options, fields=fields)
        detail = f"{error.detail}; {note}" if note else error.detail
        return bad_item(uri, error.reason, detail, fingerprint=target, tags=tags)
    tags = tags_of(options, folders=place.folders, fields=fields, note=note)
    named = place.fingerprint.encode("utf-8", "surrogateescape") if place.address else content
    return Item(
        source_uri=uri,
        fingerprint=digest(named),
        label=tags.label,
        domain=tags.domain,
        note=tags.note,
        address=place.address or holder,
    )


def digest(content: bytes) -> str:
    """Return a short hash for fingerprints, 24 hex digits."""
    return hashlib.blake2b(content, digest_size=12).hexdigest()
