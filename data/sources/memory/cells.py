"""A cell of rows in memory: an image, encoded bytes, a path, a URL, or a list of these."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from ...images.held import HeldImage, check_array, digest_of, encoded
from ...images.limits import too_many_bytes
from ...vocabulary import Reason
from ..cells import images_in, locate
from ..items import Address, Item, SourceOptions, bad_item
from ..labelling import tags_of
from ..lists.listed_rows import digest, items_of_cell

_DIGEST_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """Address of an image in memory; it holds the image itself."""

    image: HeldImage

    def read(self, options: SourceOptions) -> bytes:
        """Return the encoded bytes.

        Raises:
            UnreadableImage: The image is damaged, beyond a limit, or of a mode that is not encoded.
        """
        return _within_limit(encoded(self.image, options.limits), options)


@dataclass(frozen=True, slots=True)
class CellAddress:
    """Address of an encoded image in a cell; `part` indexes a list in it."""

    cell: Any
    part: int | None = None

    def read(self, options: SourceOptions) -> bytes:
        """Return the bytes in the cell, or the bytes that it refers to.

        Raises:
            UnreadableImage: The cell has no image, or the image is too large.
        """
        return bytes_of_cell(self.cell, self.part, options)


def bytes_of_cell(cell: Any, part: int | None, options: SourceOptions) -> bytes:
    """Return the bytes of an image in a cell, or those that the cell refers to.

    Args:
        cell: Encoded bytes, path, URL, struct of bytes and path, or a list of these.
        part: Index in a list; None for a cell with one image.
        options: Settings of reading.

    Raises:
        UnreadableImage: The cell has no image, or the image is too large.
    """
    place = locate(cell if part is None else cell[part], os.getcwd(), options)  # noqa: PTH109
    if place.address is not None:
        return place.address.read(options)
    return _within_limit(place.raw or b"", options)


def _within_limit(raw: bytes, options: SourceOptions) -> bytes:
    if len(raw) > options.limits.max_bytes:
        raise too_many_bytes(len(raw), options.limits)
    return raw


def items_in(
    uri: str,
    cell: object,
    fields: Mapping[str, object],
    options: SourceOptions,
    *,
    fingerprint: str,
    holder: Callable[[int | None], Address] | None = None,
) -> Iterator[Item]:
    """Yield the items of a cell: one, or one per image of a list.

    Args:
        uri: Address of the row.
        cell: Image, encoded bytes, path, URL, struct of bytes and path as in Hugging Face's
            datasets, or a list of these.
        fields: Label and domain of the row, if it has them.
        options: Settings of listing and reading.
        fingerprint: Text that changes with the cell.
        holder: Function from the index in a list, or None, to the address of encoded bytes
            [default: an address that holds the cell].
    """
    parts = images_in(cell)
    if parts is not None and any(map(is_image, parts)):
        for number, part in enumerate(parts):
            own = f"{fingerprint}/{number}"
            yield from items_in(f"{uri}/{number}", part, fields, options, fingerprint=own)
    elif isinstance(cell, Image.Image | np.ndarray):
        tags = tags_of(options, fields=fields)
        yield Item(
            source_uri=uri,
            fingerprint=fingerprint,
            label=tags.label,
            domain=tags.domain,
            note=tags.note,
            address=HeldAddress(cell),
        )
    elif is_missing_image(cell):
        tags = tags_of(options, fields=fields)
        yield bad_item(uri, Reason.BAD_ROW, "no image: the value is missing", tags=tags)
    else:
        yield from items_of_cell(
            uri,
            os.fspath(cell) if isinstance(cell, os.PathLike) else cell,
            fields,
            os.getcwd(),  # noqa: PTH109 - a folder as text
            options,
            holder=holder or (lambda part: CellAddress(cell, part)),
            content=fingerprint.encode(),
        )


def is_image(cell: object) -> bool:
    """Return whether a cell is an image in memory: a Pillow image or an array."""
    return isinstance(cell, Image.Image | np.ndarray)


def is_missing_image(cell: object) -> bool:
    """Return whether a cell is None or NaN, pandas' missing value."""
    return cell is None or (isinstance(cell, float) and cell != cell)  # noqa: PLR0124 - NaN


def check_cell(cell: object, where: str) -> None:
    """Refuse an array that is no image of 8 bits per channel, also in a list.

    Raises:
        InputError: The type or the shape is another; the message says how to convert it.
    """
    if isinstance(cell, np.ndarray):
        check_array(cell, where)
    elif isinstance(cell, list):
        for number, part in enumerate(cell):
            if isinstance(part, np.ndarray):
                check_array(part, f"{where}[{number}]")


def digest_of_cell(cell: object, options: SourceOptions) -> str:
    """Return a hash that changes with a cell, 24 hex digits; of a path or URL, not of its file."""
    if isinstance(cell, Image.Image | np.ndarray):
        return digest_of(cell, options.limits)
    if isinstance(cell, bytes | bytearray | memoryview):
        return digest(bytes(cell))
    if isinstance(cell, list):
        return digest("".join(digest_of_cell(part, options) for part in cell).encode())
    if isinstance(cell, Mapping):
        named = "".join(f"{key}={digest_of_cell(value, options)}" for key, value in cell.items())
        return digest(named.encode())
    return digest(f"{type(cell).__name__}:{cell}".encode("utf-8", "surrogatepass"))


class Digests:
    """Hashes of cells in their order, 12 bytes each, and one hash of all."""

    def __init__(self, hashes: Iterator[str]) -> None:
        self._all = b"".join(map(bytes.fromhex, hashes))

    def __getitem__(self, row: int) -> str:
        return self._all[_DIGEST_BYTES * row : _DIGEST_BYTES * (row + 1)].hex()

    def __len__(self) -> int:
        return len(self._all) // _DIGEST_BYTES

    def of_all(self) -> str:
        """Return the hash of all, 24 hex digits."""
        return digest(self._all)
