"""Six small images, and the items of a list of them."""

from __future__ import annotations

from pathlib import Path

import factories

from assay.data.errors import UnreadableImage
from assay.data.sources.find import Item, SourceOptions, find_items, read_item
from assay.data.vocabulary import Reason

PICTURES = [factories.jpeg(seed=n, size=(16, 16)) for n in range(6)]


def listed(source: Path, **options) -> list[Item]:
    return list(find_items([str(source)], SourceOptions(**options)))


def read(items: list[Item], **options) -> list[bytes | Reason]:
    """Return the bytes of each item, or the reason of its failure."""
    out: list[bytes | Reason] = []
    for item in items:
        try:
            out.append(read_item(item, SourceOptions(**options)))
        except UnreadableImage as error:
            out.append(error.reason)
    assert all(
        item.problem is None or item.problem[0] is got for item, got in zip(items, out, strict=True)
    )
    return out
