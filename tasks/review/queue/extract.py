"""Files of images for a reviewer without a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ....data.errors import ConfigError, InputError
from ....data.store.lake import Lake
from ...lake.stored_images import PLACE, read_each

_ID_CHARS: Final = 16


def require_folder(folder: Path) -> None:
    """Refuse a path that cannot be a folder for image files.

    Raises:
        ConfigError: The path is a file, or lies in one.
    """
    for place in (folder, *folder.parents):
        if place.exists():
            if place.is_dir():
                return
            raise ConfigError(f"{place} is a file; give a folder to write the images to")


def extract(lake: Lake, image_ids: Sequence[str], folder: Path) -> dict[str, Path | None]:
    """Write images to files named by their ids, and return the path of each.

    The path of an image whose bytes are missing or damaged is None.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.
        folder: Folder of the files; created if missing.

    Raises:
        InputError: A file cannot be written.
        StoreError: The store does not answer.
    """
    rows = lake.rows_of("images", image_ids).unique("image_id", keep="any")
    places = rows.select(*PLACE, "format").sort("shard", "row_group", "row").collect()
    names = {
        image_id: f"{image_id[:_ID_CHARS]}.{format_.lower()}"
        for image_id, format_ in places.select("image_id", "format").iter_rows()
    }
    files: dict[str, Path | None] = dict.fromkeys(image_ids)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for image_id, raw in read_each(lake, places.select(PLACE)):
            if raw is not None:
                file = folder / names[image_id]
                file.write_bytes(raw)
                files[image_id] = file
    except OSError as error:
        raise InputError(
            f"cannot write the images to {folder}: {error.strerror or error}"
        ) from error
    return files
