"""The place of a dataset: a folder of this machine, or a prefix of an object store."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import polars as pl

from ...data.errors import ConfigError
from ...data.store.cloud_options import CLOUDS
from ...data.store.files import cannot
from ...data.store.places.whole_folder import LOCK_NAME, Place, folder_to_make, holding, is_taken
from ...data.store.places.whole_prefix import Prefix, PrefixPlace, holding_prefix, prefix_to_make
from .data_files.formats import rows_of_file

AnyPlace: TypeAlias = Place | PrefixPlace


def place_to_make(out: Path | str) -> Path | Prefix:
    """Return a folder or a prefix to publish to.

    Args:
        out: Folder, or address such as `s3://bucket/prefix`.

    Raises:
        ConfigError: The place cannot be one of a dataset.
        StoreError: The object store cannot be used.
    """
    if isinstance(out, str) and out.partition("://")[0] in CLOUDS and "://" in out:
        return prefix_to_make(out)
    return folder_to_make(out)


@contextlib.contextmanager
def holding_place(out: Path | Prefix, *, overwrite: bool) -> Iterator[AnyPlace]:
    """Prepare a place for one publication, which may replace what is there.

    Args:
        out: Place to publish to.
        overwrite: Whether a dataset published by assay may be replaced.

    Raises:
        ConfigError: The place is not free, or another process is publishing there.
        StoreError: The object store cannot be read.
    """
    with contextlib.ExitStack() as stack:
        place: AnyPlace
        if isinstance(out, Prefix):
            place = stack.enter_context(holding_prefix(out))
        else:
            place = stack.enter_context(holding(out))
        require_replaceable(place.out, overwrite=overwrite, recovered=place.recovered)
        yield place


def require_replaceable(
    out: Path | Prefix, *, overwrite: bool, recovered: str | None = None
) -> None:
    """Check that a dataset may be written to a place.

    Args:
        out: Place of the dataset.
        overwrite: Whether to replace a dataset published by assay.
        recovered: Description of the recovery from an interrupted publication; None for none.

    Raises:
        ConfigError: The place is a file, or not empty and may not be replaced.
        StoreError: The object store cannot be read.
    """
    try:
        if not (out.is_taken() if isinstance(out, Prefix) else is_taken(out)):
            return
        is_published = (
            out.is_published() if isinstance(out, Prefix) else (out / LOCK_NAME).is_file()
        )
    except OSError as error:
        raise cannot("read", out, error) from error
    kind = "prefix" if isinstance(out, Prefix) else "folder"
    if isinstance(out, Path) and not out.is_dir():
        raise ConfigError(f"{out} is a file; name a folder to create")
    if not overwrite:
        after = f" ({recovered})" if recovered else ""
        raise ConfigError(
            f"{out} is not empty{after}; name another {kind}, or replace it with --overwrite"
        )
    if not is_published:
        raise ConfigError(
            f"{out} is not a dataset published by assay (it has no {LOCK_NAME}) and will not be "
            f"replaced; name another {kind}"
        )


def rows_of_dataset(out: str, files: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a published dataset with their split, without the images' bytes.

    Args:
        out: Folder or address of the dataset.
        files: Data files, relative to `out`.

    Raises:
        StoreError: The object store cannot be read.
        OSError: A file cannot be read.
    """
    place = place_to_make(out)
    if isinstance(place, Path):
        return pl.concat(rows_of_file(place / name) for name in files)
    return pl.concat(_rows_of_object(place, name) for name in files)


def _rows_of_object(place: Prefix, name: str) -> pl.DataFrame:
    store = place.store
    if not name.endswith(".tar"):
        return rows_of_file(store.path(name), storage_options=store.storage_options)
    with tempfile.TemporaryDirectory(prefix="assay-rows-") as folder:
        file = Path(folder) / name.rpartition("/")[2]
        file.write_bytes(store.read(name) or b"")
        return rows_of_file(file)
