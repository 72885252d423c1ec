"""What is left of forgotten images: of an interrupted call, or of a writer that knew no better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...data.store.erasure.tombstones import TABLE
from ...data.store.lake import Lake
from ...data.store.tables import FOLDER
from ...data.text.wording import counted


def traces_left(lake: Lake, tables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield places with traces of forgotten images, each with a phrase that says what it has.

    Args:
        lake: Lake of the images.
        tables: Tables without rows about forgotten images, if nothing is left.

    Raises:
        StoreError: The lake cannot be read.
    """
    if unfinished := lake.tombstones.unfinished():
        n = len(unfinished)
        some = counted(n, "image is", "images are") if n > 1 else f"image {min(unfinished)[:12]} is"
        yield f"{FOLDER}/{TABLE}", f"says that {some} being forgotten, and traces may be left"
        return
    ids = sorted(lake.tombstones.ids())
    for table in tables:
        if ids and lake.version(table) is not None:
            rows = lake.rows_of(table, ids).select("image_id").collect()
            if rows.height:
                yield (
                    f"{FOLDER}/{table}",
                    f"has {counted(rows.height, 'row')} about forgotten images",
                )
