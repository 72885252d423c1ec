"""Dry run of `publish --from-lock`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...data.store.lake import Lake
from ...data.store.places.place_at import place_at
from ...data.text.wording import counted
from ...tasks.publish.place import require_replaceable
from ...tasks.versions.remake import require_versions, versions_of
from .effects import Effect, Effects


def remake_effects(
    lake: Lake, lock: Mapping[str, Any], to: Path | str, *, overwrite: bool
) -> Effects:
    """Return the effects of making a published dataset again from its lock.

    Args:
        lake: Lake of the dataset.
        lock: Content of its `VERSIONS.lock`.
        to: Folder of the dataset, or its address in an object store.
        overwrite: Whether an existing folder is replaced.

    Raises:
        ConfigError: The folder cannot be one, or may not be replaced.
        MissingVersion: A table has lost the version that the lock names.
        StoreError: The lake cannot be read.
    """
    place = place_at(to)
    require_replaceable(place, overwrite=overwrite)
    require_versions(lake, versions_of(lock))
    n_images = sum(lock["splits"].values())
    return Effects(
        reads=[Effect(n_images, "images", lake.uri)],
        writes=[
            Effect(n_images, f"rows in {counted(len(lock['files']), 'file')}", f"{place}/data"),
            Effect(1, "dataset card", f"{place}/README.md"),
            Effect(1, "lock file", f"{place}/VERSIONS.lock"),
        ],
    )
