"""Dry runs of `review`."""

from __future__ import annotations

from pathlib import Path

from ...data.store.journal.place import journal_path
from ...data.store.lake import Lake
from .effects import Effect, Effects


def next_effects(lake: Lake, n: int, folder: Path | None) -> Effects:
    """Return the effects of listing the next images.

    Args:
        lake: Lake of the images.
        n: Number of images.
        folder: Folder of the image files; None for none.

    Raises:
        StoreError: The lake cannot be read.
    """
    n_images = lake.n_rows("images")
    n_next = min(n, n_images)
    writes = [Effect(n_next, "leases", str(journal_path(lake.store)), at_most=True)]
    if folder is not None:
        writes.append(Effect(n_next, "image files", str(folder), at_most=True))
    return Effects(reads=[Effect(n_images, "images", lake.uri)], writes=writes)
