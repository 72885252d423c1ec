"""Perceptual hashes of upright pixels for images that earlier versions hashed as stored.

Such rows have no `phash_of`. The new hashes serve one comparison and are not written to the lake.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import polars as pl

from ...data.errors import UnreadableImage
from ...data.images.inspect_image import hash_anew, is_stored_as_seen
from ...data.store.lake import Lake
from ..work.ordered_map import ordered_map

_N_WORKERS: Final = 2


def with_upright_hashes(
    lake: Lake, images: pl.DataFrame, *, version: int | None = None
) -> pl.DataFrame:
    """Return rows of images with the `phash` of upright pixels.

    For older rows the bytes are read, and rotated, transparent and 16-bit images are decoded; for
    all others the two hashes are equal.

    Args:
        lake: Lake of the images.
        images: Columns image_id, phash and phash_of; others are kept.
        version: Version of `images` that names the places of the bytes; None for the latest.

    Raises:
        StoreError: Bytes cannot be read.
    """
    older = images.filter(pl.col("phash_of").is_null())["image_id"].unique(maintain_order=True)
    if older.is_empty():
        return images
    with ThreadPoolExecutor(_N_WORKERS, "assay-hash") as pool:
        anew = [
            {"image_id": image_id, "anew": phash}
            for image_id, phash in ordered_map(
                pool,
                _hashed,
                lake.images(older.to_list(), version=version),
                n_ahead=4 * _N_WORKERS,
            )
            if phash is not None
        ]
    hashes = pl.DataFrame(anew, schema={"image_id": pl.String, "anew": pl.String})
    return (
        images.join(hashes, on="image_id", how="left", maintain_order="left")
        .with_columns(phash=pl.coalesce("anew", "phash"))
        .drop("anew")
    )


def _hashed(stored: tuple[str, bytes]) -> tuple[str, str | None]:
    """Return the id of an image and its new hash; None if the stored hash is right."""
    image_id, raw = stored
    try:
        return image_id, None if is_stored_as_seen(raw) else hash_anew(raw)[0]
    except UnreadableImage:
        return image_id, None
