"""Pins: versions of tables that published datasets were read at, which a vacuum keeps readable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ...data.errors import ConfigError, StoreError, brief
from ...data.store.files import TMP_PREFIX
from ...data.store.lake import Lake
from ...data.store.places.place import LOCK_NAME

FOLDER: Final = "published"


def record_pin(lake: Lake, out: str, versions: Mapping[str, int | None]) -> None:
    """Record the versions that a dataset was read at; the same dataset is recorded once.

    Args:
        lake: Lake of the dataset.
        out: Address of the dataset.
        versions: Version per table; None for an empty table.

    Raises:
        StoreError: The lake cannot be written.
    """
    read = {table: version for table, version in versions.items() if version is not None}
    digest = hashlib.sha256(json.dumps([out, read], sort_keys=True).encode()).hexdigest()[:16]
    record = {"dataset": out, "tables": read}
    lake.write(f"{FOLDER}/{digest}.json", json.dumps(record).encode() + b"\n")


def pinned(lake: Lake, published: Iterable[Path] = ()) -> dict[str, set[int]]:
    """Return the versions to keep readable, by table.

    Args:
        lake: Lake of the tables.
        published: Folders of datasets published by versions that recorded no pin in the lake.

    Raises:
        ConfigError: A folder is not a dataset published by assay.
        StoreError: A pin cannot be read.
    """
    versions: dict[str, set[int]] = {}
    for file in lake.store.files(FOLDER):
        # A killed writer leaves an unfinished file, which no dataset relies on.
        if file.name.endswith(".json") and TMP_PREFIX not in file.name:
            try:
                _take(json.loads(lake.store.read(file.name) or b""), versions)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise StoreError(
                    f"cannot read {lake.path(file.name)}: {brief(error)}; it names the versions"
                    " that a published dataset was read at: restore it, or remove it"
                ) from error
    for folder in published:
        lock = folder / LOCK_NAME
        try:
            _take(json.loads(lock.read_text(encoding="utf-8")), versions)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{lock} cannot be read: {brief(error)}; name the folder of a published dataset"
            ) from error
    return versions


def _take(record: Mapping[str, Any], versions: dict[str, set[int]]) -> None:
    for table, version in record["tables"].items():
        if version is not None:
            versions.setdefault(table, set()).add(int(version))
