"""A list of images, encoded bytes, paths and URLs, as rows of a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..items import Item, SourceOptions
from .cells import Digests, check_cell, digest_of_cell, items_in
from .held_rows import row_uri


class ImageList:
    """Rows of a list: images in memory, encoded bytes, paths or URLs of images, None for none.

    Args:
        cells: Images by row; an array (N, height, width, channels) is a list of N.
        name: Name in the addresses of the items.
        options: Settings of listing and reading.

    Raises:
        InputError: An array is not uint8, or has another shape than an image.
    """

    def __init__(self, cells: Sequence[object], name: str, options: SourceOptions) -> None:
        for row, cell in enumerate(cells):
            check_cell(cell, f"{name}[{row}]")
        self.name = name
        self._cells = cells
        self._digests = Digests(digest_of_cell(cell, options) for cell in cells)
        self.digest = self._digests.of_all()

    def __len__(self) -> int:
        return len(self._cells)

    def items(self, options: SourceOptions) -> Iterator[Item]:
        """Yield the items of the list, one per row."""
        for row, cell in enumerate(self._cells):
            uri = row_uri(self.name, row)
            yield from items_in(uri, cell, {}, options, fingerprint=self._digests[row])
