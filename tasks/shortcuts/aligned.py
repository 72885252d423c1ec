"""Images encoded alike: the centre square at one size, as JPEG of one quality, without metadata."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import polars as pl
from PIL import Image

from ...data.errors import UnreadableImage
from ...data.images.decode import DISPLAY, decode_rgb
from ...data.machine import n_cores
from ...data.store.lake import Lake
from ..work.ordered_map import ordered_map

SIDE_PX: Final = 384
QUALITY: Final = 90
ENCODING: Final = f"centre square of {SIDE_PX} px, JPEG {QUALITY}"
"""Name of the encoding in published rows and cards."""
N_MEASURED: Final = 600
"""Images that are encoded for the figure of a dataset that keeps its files as they are."""


def aligned(raw: bytes) -> bytes | None:
    """Return an image encoded as all others are; None if it cannot be decoded.

    Upright, over white, cut to its centre square, resized to `SIDE_PX` on a side (enlarged if it is
    smaller) and saved as JPEG of `QUALITY` with halved chroma.

    Args:
        raw: Encoded bytes of the image.
    """
    try:
        image = decode_rgb(raw, DISPLAY)
    except UnreadableImage:
        return None
    side_px = min(image.size)
    left_px, top_px = (image.width - side_px) // 2, (image.height - side_px) // 2
    square = image.crop((left_px, top_px, left_px + side_px, top_px + side_px))
    out = io.BytesIO()
    square.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS).save(
        out, "JPEG", quality=QUALITY, subsampling="4:2:0"
    )
    return out.getvalue()


def aligned_facts(
    lake: Lake, rows: pl.DataFrame, *, seed: int = 0, version: int | None = None
) -> pl.DataFrame:
    """Return facts of files as they are after `aligned`, for a sample of images of each class.

    Args:
        lake: Lake of the images.
        rows: Columns image_id, group_id and is_fake.
        seed: Seed of the sample.
        version: Version of `images` that names the places of the bytes; None for the latest.

    Returns:
        Columns of `measure.FACTS`, group_id and is_fake, of about `N_MEASURED` images.

    Raises:
        StoreError: The images cannot be read.
    """
    per_class = N_MEASURED // 2
    sample = pl.concat(
        part.sample(min(per_class, part.height), shuffle=True, seed=seed)
        for _, part in rows.sort("image_id").group_by("is_fake", maintain_order=True)
    )
    sizes = pl.DataFrame(
        list(_sizes(lake, sample["image_id"].to_list(), version)),
        schema={"image_id": pl.String, "n_bytes": pl.Int64},
        orient="row",
    )
    return (
        sample.select("image_id", "group_id", "is_fake")
        .join(sizes, on="image_id")
        .with_columns(
            width_px=pl.lit(SIDE_PX),
            height_px=pl.lit(SIDE_PX),
            jpeg_quality=pl.lit(QUALITY),
            format=pl.lit("JPEG"),
        )
    )


def _sizes(lake: Lake, image_ids: list[str], version: int | None) -> Iterator[tuple[str, int]]:
    """Yield id and size in bytes of each image that can be decoded, encoded anew."""
    n_workers = n_cores()
    with ThreadPoolExecutor(n_workers, "assay-align") as pool:
        encoded = ordered_map(
            pool,
            lambda stored: (stored[0], aligned(stored[1])),
            lake.images(image_ids, version=version),
            n_ahead=4 * n_workers,
        )
        yield from ((image_id, len(raw)) for image_id, raw in encoded if raw is not None)
