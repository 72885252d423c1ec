"""Dry runs of `publish`, `export` and `query`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from ...data.store.lake import Lake
from ...data.store.places.place_at import place_at
from ...tasks.browse.filters import Filters
from ...tasks.browse.images import Scope, parts_of_images
from ...tasks.lake.known_images import require_images_known
from ...tasks.latest_rows import ROWS_AT_A_TIME
from ...tasks.publish.data_files.formats import Format
from ...tasks.publish.limits import Limits
from ...tasks.publish.pinned import pin
from ...tasks.publish.place import require_replaceable
from ...tasks.publish.plan import chosen_images
from ...tasks.publish.selection import Selection
from .effects import Effect, Effects


def publish_effects(
    lake: Lake,
    to: Path | str,
    *,
    overwrite: bool,
    where: str | None = None,
    ids: pl.Series | None = None,
    cap: Mapping[str, int] | None = None,
    balance: str | None = None,
    exclude_license_flags: Sequence[str] = (),
    seed: int = 0,
    detector: str | None = None,
    precision: str | None = None,
    format: Format = "hf",  # noqa: A002 - the name of the flag
) -> Effects:
    """Return the effects of publishing a lake as a dataset folder.

    Args:
        lake: Lake of the images.
        to: Folder of the dataset, or its address in an object store.
        overwrite: Whether an existing folder is replaced.
        where: Condition on the published rows, in SQL; None for all images.
        ids: Ids of the images to publish; None for all images.
        cap: Largest number of images per value, by column.
        balance: Column with as many images of each value; None for none.
        exclude_license_flags: Licence flags of images that are left out.
        seed: Seed of the draw.
        detector: Detector of the scores; None for that of the last decisions.
        precision: Precision of the scores; None for that of the last decisions.
        format: Format of the data files.

    Raises:
        ConfigError: The place cannot be one, or may not be replaced; or the condition is none on
            the published rows, or a limit is not allowed.
        InputError: An id is not that of an image, or there is nothing to balance.
        StoreError: The lake cannot be read.
    """
    place = place_at(to)
    require_replaceable(place, overwrite=overwrite)
    require_images_known(lake)
    n_images = lake.n_rows("images")
    n_kept = n_images
    selection = Selection.of(where=where, ids=ids)
    limits = Limits.of(cap=cap, balance=balance, exclude_license_flags=exclude_license_flags)
    if selection.describe() or limits.record():
        pinned = pin(lake, detector=detector, precision=precision)
        n_kept = chosen_images(lake, pinned, selection, limits, seed=seed)[0].height
    files = "tar shards" if format == "webdataset" else "Parquet files"
    return Effects(
        reads=[Effect(n_images, "images", lake.uri)],
        writes=[
            Effect(n_kept, f"rows in {files}", f"{place}/data"),
            Effect(1, "dataset card", f"{place}/README.md"),
            Effect(1, "lock file", f"{place}/VERSIONS.lock"),
        ],
    )


def export_effects(lake: Lake, scope: Scope, filters: Filters, to: Path) -> Effects:
    """Return the effects of exporting images to a file.

    Args:
        lake: Lake of the tables.
        scope: Images that are chosen from.
        filters: Conditions on the images.
        to: File to write.

    Raises:
        StoreError: The lake cannot be read.
    """
    parts = parts_of_images(lake, scope, filters, rows_at_a_time=ROWS_AT_A_TIME)
    n_images = sum(part.height for part in parts)
    return Effects(
        reads=[Effect(n_images, "images", lake.uri)], writes=[Effect(n_images, "rows", str(to))]
    )


def query_effects(lake: Lake, n_rows: int, to: Path) -> Effects:
    """Return the effects of writing the rows of a query to a file.

    Args:
        lake: Lake of the tables.
        n_rows: Number of rows of the query.
        to: File to write.
    """
    return Effects(
        reads=[Effect(n_rows, "rows", lake.uri)], writes=[Effect(n_rows, "rows", str(to))]
    )
