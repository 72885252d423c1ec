"""Images of a run as files in a folder, for programs that read files only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from ...data.errors import ConfigError
from ...data.store.files import cannot
from ...data.store.lake import Lake
from ...data.store.lake_mark import lake_of

_SUFFIXES: Final = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "GIF": ".gif"}
_IMAGES_AT_A_TIME: Final = 256


def save_images(lake: Lake, rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Write the images of rows as stored, named by their ids, and return the rows with paths.

    A file that is there with the image's size is kept, so that a call that was stopped goes on.

    Args:
        lake: Lake of the images.
        rows: Rows of `item_rows.item_rows`.
        folder: Folder to write to; created if missing.

    Returns:
        The rows, with the absolute `path` of each file, null for a row without an image.

    Raises:
        ConfigError: The folder lies in a lake.
        StoreError: The bytes cannot be read, or a file cannot be written.
    """
    folder = folder.absolute()
    if (inside := lake_of(str(folder))) is not None:
        raise ConfigError(f"{folder} lies in the lake {inside}; name a folder outside of lakes")
    ids = rows["image_id"].drop_nulls().unique(maintain_order=True)
    facts = lake.rows_of("images", ids).select("image_id", "format", "n_bytes")
    known = facts.unique("image_id").collect()
    paths = known.select(
        "image_id",
        "n_bytes",
        path=pl.lit(f"{folder}/")
        + pl.col("image_id")
        + pl.col("format").replace_strict(_SUFFIXES, default=".bmp"),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = {
            image_id: Path(path)
            for image_id, n_bytes, path in paths.iter_rows()
            if not Path(path).is_file() or Path(path).stat().st_size != n_bytes
        }
        wanted = list(missing)
        for start in range(0, len(wanted), _IMAGES_AT_A_TIME):
            for image_id, raw in lake.images(wanted[start : start + _IMAGES_AT_A_TIME]):
                missing[image_id].write_bytes(raw)
    except OSError as error:
        raise cannot("write", str(folder), error) from error
    return rows.join(
        paths.select("image_id", "path"), on="image_id", how="left", maintain_order="left"
    )
