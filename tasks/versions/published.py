"""A published dataset as it is on disk: its rows without images, and its lock."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from ...data.errors import ConfigError, InputError, brief, shorten
from ...data.store.places.whole_folder import LOCK_NAME
from ..labels import CLASSES
from ..publish.data_files.formats import rows_of_file
from ..publish.rows import UNLABELLED

COLUMNS: Final = ("image_id", "label", "decision", "group_id")
ROWS: Final = pl.Schema(dict.fromkeys(("image_id", "split", *COLUMNS[1:]), pl.String()))
"""Columns of the rows of a dataset that are compared; the label as text, null without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A dataset to compare.

    Attributes:
        name: Name for people: a path or an address.
        lock: Content of its `VERSIONS.lock`.
        rows: One row per image, with the columns of `ROWS`.
    """

    name: str
    lock: Mapping[str, Any]
    rows: pl.DataFrame


def read_lock(path: Path) -> dict[str, Any]:
    """Return the content of a `VERSIONS.lock`.

    Args:
        path: The file, or the folder of a published dataset.

    Raises:
        InputError: There is none, or it is not one that assay wrote.
    """
    file = path / LOCK_NAME if path.is_dir() else path
    try:
        lock = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} is not a dataset published by assay (there is no {file}); allowed: a folder"
            f" of assay publish, or its {LOCK_NAME}"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {brief(error)}") from error
    if not isinstance(lock, dict) or not {"files", "tables", "seed"} <= lock.keys():
        raise InputError(f"{file} is not the {LOCK_NAME} of a dataset published by assay")
    if lock.get("format") != 1:
        raise InputError(
            f"{file} has format {shorten(str(lock.get('format')), 20)}; this version of assay reads"
            " format 1; upgrade assay"
        )
    return lock


def read_published(path: Path | str) -> Published:
    """Return the rows of a published dataset, without the bytes of its images.

    Args:
        path: Folder of the dataset, or its `VERSIONS.lock`.

    Raises:
        ConfigError: The path is an address and no local folder.
        InputError: The dataset lacks a file, or a file cannot be read.
    """
    if "://" in str(path):
        raise ConfigError(f"{path} is not a local folder; copy the dataset to a folder")
    place = Path(path)
    lock = read_lock(place)
    folder = place if place.is_dir() else place.parent
    parts = [_rows_of(folder / name) for name in sorted(lock["files"])]
    rows = pl.concat(parts) if parts else pl.DataFrame(schema=ROWS)
    if rows["image_id"].is_duplicated().any():
        raise InputError(f"{folder} has an image twice; publish it again")
    return Published(name=str(path), lock=lock, rows=rows)


def _rows_of(file: Path) -> pl.DataFrame:
    try:
        rows = rows_of_file(file, COLUMNS)
    except FileNotFoundError:
        raise InputError(f"{file} is missing, which its {LOCK_NAME} names") from None
    except (OSError, ValueError, tarfile.TarError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read {file}: {brief(error)}") from error
    if rows.schema["label"] != pl.String:
        names = dict(enumerate(CLASSES)) | {UNLABELLED: None}
        label = pl.col("label").replace_strict(names, default=None, return_dtype=pl.String)
        rows = rows.with_columns(label)
    return rows.select(ROWS.names()).cast(ROWS)
