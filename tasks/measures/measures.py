"""Measures of the pixels of stored images: which have none yet, and the pass that takes them.

New images are measured as they are decoded, see `inline_measurer`. Each image is measured once,
and a stopped pass resumes where it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import polars as pl

from ...data.errors import UnreadableImage
from ...data.images.limits import DEFAULT_LIMITS, ImageLimits
from ...data.images.pixel_facts import PixelFacts, measure_pixels
from ...data.machine import n_cores
from ...data.schema import Row
from ...data.store.lake import Lake
from ...data.vocabulary import Reason
from ..append_missing import append_missing
from ..latest_rows import WHOLE, Named, Part
from ..work.commit_portions import commit_portions
from ..work.ordered_map import ordered_map
from ..work.workers import workers

TABLE: Final = "measures"
_UNKNOWN: Final = {"detail": None, "flat_share": None, "n_colours": None, "pdq": None}


def unmeasured(lake: Lake, image_ids: pl.Series | None = None) -> pl.DataFrame:
    """Return the images without measures, in the order of the stored bytes.

    Args:
        lake: Lake of the images.
        image_ids: Ids to choose from; None for all images of the lake.

    Returns:
        Columns image_id, shard, row_group, row.

    Raises:
        StoreError: The lake cannot be read.
    """
    part: Part = WHOLE if image_ids is None else Named(ids=tuple(image_ids))
    return (
        part.rows(lake, "images")
        .select("image_id", "shard", "row_group", "row")
        .join(part.rows(lake, TABLE).select("image_id"), on="image_id", how="anti")
        .unique("image_id", keep="any")
        .sort("shard", "row_group", "row")
        .collect()
    )


def measures_of(lake: Lake, part: Part = WHOLE) -> pl.LazyFrame:
    """Return image_id, detail, flat_share, n_colours and pdq of the measured images, each once."""
    rows = part.rows(lake, TABLE).select("image_id", *_UNKNOWN)
    return rows.unique("image_id", keep="any")


def measure_images(
    lake: Lake,
    image_ids: Sequence[str],
    *,
    n_workers: int | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    on_item: Callable[[int], None] | None = None,
) -> int:
    """Measure images that have no measures yet, and commit one row per image.

    An image that cannot be decoded gets a row with the reason; one that exceeds the memory gets
    none and stays pending.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images, from `unmeasured`.
        n_workers: Number of threads; default: one per core.
        limits: Limits on decoding.
        on_item: Callback with the number of images finished since its last call.

    Returns:
        Number of rows committed.

    Raises:
        StoreError: Bytes cannot be read, or rows cannot be written; committed rows stay.
        BaseException: Any other error, after a commit of the finished rows; see `kept_of`.
    """
    n_threads = n_workers or n_cores()
    since = lake.version(TABLE)
    known = set(lake.rows_of(TABLE, image_ids).select("image_id").collect()["image_id"])
    left = [image_id for image_id in image_ids if image_id not in known]

    def work(stored: tuple[str, bytes]) -> Row | None:
        return _row(*stored, limits)

    def parts() -> Iterator[tuple[list[Row], int]]:
        with workers(n_threads, "assay-measure") as pool:
            images = lake.images(left) if left else iter(())
            for row in ordered_map(pool, work, images, n_ahead=4 * n_threads):
                yield [] if row is None else [row], 1

    def commit(rows: Sequence[Row]) -> int:
        return len(commit_measures(lake, rows, since))

    return commit_portions(parts(), commit, 0, on_item=on_item)


def _row(image_id: str, raw: bytes, limits: ImageLimits) -> Row | None:
    """Return the row of an image; None if the memory does not suffice."""
    try:
        return measured(image_id, measure_pixels(raw, limits=limits))
    except UnreadableImage as error:
        return measured(image_id, None, error.reason)
    except MemoryError:
        return None


def measured(image_id: str, facts: PixelFacts | None, reason: Reason | None = None) -> Row:
    """Return the row of an image, with its measures or the reason for having none."""
    return {
        "image_id": image_id,
        "reason": None if reason is None else reason.value,
        **(_UNKNOWN if facts is None else asdict(facts)),
        "measured_at": datetime.now(UTC),
    }


def commit_measures(lake: Lake, rows: Sequence[Row], since: int | None) -> list[Row]:
    """Append the rows of the images that no other run has measured meanwhile, and return them.

    Args:
        lake: Lake of the measures.
        rows: Rows of `measured`.
        since: Version of the table at which the images had no row.

    Raises:
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written.
    """
    ids = [row["image_id"] for row in rows]
    return append_missing(
        lake,
        TABLE,
        rows,
        since=since,
        name=lambda row: str(row["image_id"]),
        taken=lambda rows_since: set(
            rows_since.filter(pl.col("image_id").is_in(ids))
            .select("image_id")
            .collect()["image_id"]
        ),
        # Of a table that was restored, the version is another one.
        txn=f"measures:{since}",
    )
