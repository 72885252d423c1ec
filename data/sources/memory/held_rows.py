"""Rows that this process holds in memory, as a source for the time of one run.

`holding` gives the rows a text, `memory:///NAME/DIGEST`, which is a SOURCE like any other: it names
the batch, and the same rows have the same text in every process. A row is the item
`memory:///NAME!17`, an image in a list of images `memory:///NAME!17/0`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final, Protocol
from urllib.parse import quote

from ...errors import InputError
from ..items import Item, SourceOptions
from ..protocol import IsListed, SourceRef

SCHEME: Final = "memory"


class HeldRows(Protocol):
    """Rows in memory, each with an image, a path, a URL, or a list of these."""

    name: str
    """Name of the rows in the addresses of their items."""

    digest: str
    """Hash of the rows in hexadecimal digits: equal rows have equal hashes."""

    def items(self, options: SourceOptions) -> Iterator[Item]:
        """Yield the items of the rows, in their order."""
        ...


_held: Final[dict[str, HeldRows]] = {}


@contextlib.contextmanager
def holding(rows: HeldRows) -> Iterator[str]:
    """Yield the text of a SOURCE that names the rows within the block."""
    text = f"{SCHEME}:///{quote(rows.name, safe='')}/{rows.digest}"
    _held[text] = rows
    try:
        yield text
    finally:
        _held.pop(text, None)


def row_uri(name: str, row: int) -> str:
    """Return the address of a row, counted from 0."""
    return f"{SCHEME}:///{quote(name, safe='')}!{row}"


class MemorySource:
    """Row of `find.SOURCES` for rows in memory."""

    name = SCHEME

    def takes(self, ref: SourceRef) -> bool:
        """Return whether the text has the scheme of rows in memory."""
        return ref.scheme == SCHEME

    def check(self, ref: SourceRef, _options: SourceOptions) -> None:
        """Refuse rows that this process does not hold.

        Raises:
            InputError: The rows belong to another process or an earlier call.
        """
        if ref.text not in _held:
            raise InputError(
                f"{ref.text}: images from the memory of another process or an earlier call; pass"
                " them to assay.moderate again"
            )

    def items(self, ref: SourceRef, options: SourceOptions, _is_listed: IsListed) -> Iterator[Item]:
        """Yield the items of the rows."""
        yield from _held[ref.text].items(options)
