"""A published dataset as it is in its place: its lock, its rows, and some of its images."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from ...data.errors import ConfigError, InputError, brief
from ...data.store.cloud_options import CLOUDS
from ...data.store.files import cannot
from ...data.store.places.place import LOCK_NAME, Place
from ...data.store.places.place_at import place_at
from ...data.user_paths import from_home
from ..labels import CLASSES
from ..publish.data_files.reading import images_in, rows_in
from ..publish.rows import UNLABELLED
from .lock import parse_lock

COLUMNS: Final = ("image_id", "label", "decision", "group_id")
ROWS: Final = pl.Schema(dict.fromkeys(("image_id", "split", *COLUMNS[1:]), pl.String()))
"""Columns of the rows of a dataset that are compared; the label as text, null without one."""
_UNREADABLE: Final = (OSError, ValueError, KeyError, tarfile.TarError, pl.exceptions.PolarsError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A dataset to compare.

    Attributes:
        name: Name for people: a path or an address.
        lock: Content of its `VERSIONS.lock`.
        rows: One row per image, with the columns of `ROWS`.
        place: Place of its data files; None for rows without files.
    """

    name: str
    lock: Mapping[str, Any]
    rows: pl.DataFrame
    place: Place | None = None

    def images(self, image_ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield ids of images and their encoded bytes.

        Args:
            image_ids: Ids of images of the dataset; those of one data file are in memory at a time.

        Raises:
            InputError: A data file cannot be read.
        """
        if self.place is None or not image_ids:
            return
        splits = set(self.rows.filter(pl.col("image_id").is_in(list(image_ids)))["split"])
        for name in sorted(self.lock["files"]):
            if name.rpartition("/")[2].partition("-")[0] not in splits:
                continue
            try:
                images = images_in(self.place, name, image_ids)
            except _UNREADABLE as error:
                raise _damaged(self.place, name, error) from error
            yield from images.items()


def read_lock(address: Path | str) -> dict[str, Any]:
    """Return the content of a `VERSIONS.lock`.

    Args:
        address: The file, or the folder or prefix of a published dataset.

    Raises:
        ConfigError: The address cannot be that of a dataset.
        InputError: There is none, or it is not one that assay wrote.
        StoreError: The object store cannot be read.
    """
    return _lock_in(*_located(address), address)


def read_published(address: Path | str) -> Published:
    """Return the rows of a published dataset, without the bytes of its images.

    Args:
        address: Folder or prefix of the dataset, or its `VERSIONS.lock`.

    Raises:
        ConfigError: The address cannot be that of a dataset.
        InputError: The dataset lacks a file, or a file cannot be read.
        StoreError: The object store cannot be read.
    """
    place, name = _located(address)
    lock = _lock_in(place, name, address)
    parts = [
        _rows_of(place, file, lock["files"][file]["n_bytes"]) for file in sorted(lock["files"])
    ]
    rows = pl.concat(parts) if parts else pl.DataFrame(schema=ROWS)
    if rows["image_id"].is_duplicated().any():
        raise InputError(f"{place} has an image twice; publish it again")
    return Published(name=str(address), lock=lock, rows=rows, place=place)


def _located(address: Path | str) -> tuple[Place, str]:
    """Return the place of a dataset and the name of its lock in it."""
    text = str(address)
    scheme, mark, _ = text.partition("://")
    if mark and scheme in CLOUDS:
        above, _, last = text.rstrip("/").rpartition("/")
        return (place_at(above), last) if last == LOCK_NAME else (place_at(text), LOCK_NAME)
    if mark:
        raise ConfigError(
            f"{text} is neither a local folder nor the address of an object store; copy the dataset"
            " to a folder, or give s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        )
    path = from_home(text)
    # A lock may be kept under any name; its data files are then looked for beside it.
    return (place_at(path.parent), path.name) if path.is_file() else (place_at(path), LOCK_NAME)


def _lock_in(place: Place, name: str, address: Path | str) -> dict[str, Any]:
    try:
        raw = place.read(name)
    except OSError as error:
        raise cannot("read", place.path(name), error) from error
    if raw is None:
        raise InputError(
            f"{address} is not a dataset published by assay (there is no {place.path(name)}, which"
            f" a publication writes last); allowed: a {place.kind} of assay publish, or its"
            f" {LOCK_NAME}"
        )
    return parse_lock(raw, source=place.path(name))


def _rows_of(place: Place, name: str, n_bytes: int) -> pl.DataFrame:
    """Return the rows of a data file, which has the size that the lock states."""
    try:
        seen = place.n_bytes(name)
    except OSError as error:
        raise cannot("read", place.path(name), error) from error
    if seen is None:
        raise InputError(f"{place.path(name)} is missing, which its {LOCK_NAME} names")
    if seen != n_bytes:
        raise InputError(
            f"{place.path(name)} has {seen:,} bytes instead of the {n_bytes:,} that its {LOCK_NAME}"
            " names; copy the dataset again, or publish it again"
        )
    try:
        rows = rows_in(place, name, COLUMNS)
        if rows.schema["label"] != pl.String:
            names = dict(enumerate(CLASSES)) | {UNLABELLED: None}
            label = pl.col("label").replace_strict(names, default=None, return_dtype=pl.String)
            rows = rows.with_columns(label)
        return rows.select(ROWS.names()).cast(ROWS)
    except _UNREADABLE as error:
        raise _damaged(place, name, error) from error


def _damaged(place: Place, name: str, error: BaseException) -> InputError:
    return InputError(f"cannot read {place.path(name)}: {brief(error)}; publish the dataset again")
