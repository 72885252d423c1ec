"""Data files of a published dataset, read in its place: their rows, and some of their images."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Sequence

import polars as pl

from ....data.store.places.place import Place
from .formats import TAR, rows_of_file

_FACTS = (".json", ".npy")


def rows_in(place: Place, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return the rows of a data file without the images' bytes, with the split of its name.

    Args:
        place: Place of the dataset.
        name: Name of the file below it.
        columns: Names of the columns beside `split`; None for all.

    Raises:
        OSError: The file cannot be read.
    """
    if name.endswith(TAR):
        with place.local(name) as file:
            return rows_of_file(file, columns)
    return rows_of_file(place.path(name), columns, storage_options=place.storage_options)


def images_in(place: Place, name: str, image_ids: Collection[str]) -> dict[str, bytes]:
    """Return the encoded bytes of images of a data file, by id; ids of other files are left out.

    Args:
        place: Place of the dataset.
        name: Name of the file below it.
        image_ids: Ids of the images; all of them are in memory.

    Raises:
        OSError: The file cannot be read.
    """
    if name.endswith(TAR):
        with place.local(name) as file, tarfile.open(file, "r:") as tar:
            return {
                image_id: stream.read()
                for member in tar
                if (image_id := member.name.partition(".")[0]) in image_ids
                and not member.name.endswith(_FACTS)
                and (stream := tar.extractfile(member))
            }
    # Without patterns: brackets in the name of a folder are its own.
    rows = pl.scan_parquet(place.path(name), glob=False, storage_options=place.storage_options)
    found = rows.filter(pl.col("image_id").is_in(list(image_ids))).select("image_id", "image")
    return {
        image_id: image["bytes"] if isinstance(image, dict) else image
        for image_id, image in found.collect().iter_rows()
    }
