"""From what people hold to items that are scored without a lake: one per image, in order."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any

from ...data.sources.items import Item, SourceOptions
from ..fields.plain_values import source_text
from .held import check_cell_kind, default_name, rows_of

if TYPE_CHECKING:
    from .kinds import Images


def items_of(images: Images | Iterator[Any], options: SourceOptions) -> Iterator[Item]:
    """Return a lazy iterator over the items of some images.

    A path, glob or URL alone is a source, such as a folder. In a list every text is the path or the
    URL of one image, so that item n is the list's image n. A generator is drawn as its images are
    scored.

    Args:
        images: Path, image, list, frame, dataset or generator of images.
        options: Settings of listing and reading.

    Raises:
        InputError: The source does not exist, a list is empty, an array is no image, or a frame has
            no image column. Raised by the call itself, except for images of a generator.
        TypeError: A value is of another kind; the message says what to pass.
    """
    if isinstance(images, str | PathLike):
        from ...data.sources.find import find_items

        return find_items([source_text(1, images)], options)
    if isinstance(images, Iterator):
        return _drawn(images, options)
    held: Any = images
    return rows_of(held, default_name(held), options).items(options)


def _drawn(cells: Iterator[Any], options: SourceOptions) -> Iterator[Item]:
    from ...data.sources.memory.cells import check_cell, items_in
    from ...data.sources.memory.held_rows import row_uri

    for row, cell in enumerate(cells):
        check_cell_kind(cell, f"image {row}")
        check_cell(cell, f"images[{row}]")
        # Nothing is looked up again, so that no hash is needed.
        yield from items_in(row_uri("images", row), cell, {}, options, fingerprint="drawn")
