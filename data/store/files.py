"""Where a lake's files are: a local folder or an object store, behind one small interface.

A file appears whole or not at all, under either; see `local_files` and `object_files`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Protocol

import pyarrow as pa

from ..errors import StoreError

TMP_PREFIX = ".tmp-"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file: its name below the store's root, its size, when it was last written (Unix s)."""

    name: str
    modified_s: float
    n_bytes: int


class Store(Protocol):
    """Named files below one root; names use `/` and never begin with it."""

    uri: str
    storage_options: dict[str, str] | None
    """What deltalake and polars are told of an object store; None for a local folder."""

    def path(self, name: str) -> str:
        """The full address of a name."""

    def read(self, name: str) -> bytes | None:
        """The whole file, or None when there is none."""

    def open_input(self, name: str) -> pa.NativeFile:
        """A pyarrow file to read from at random; FileNotFoundError when there is none."""

    def create(self, name: str, raw: bytes) -> bool:
        """Write a small file unless one has that name; False where it was there already."""
        ...

    def creating(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file to write to that gets its name when the block ends well, and is dropped else."""

    def files(self, folder: str = "") -> list[StoredFile]:
        """The files directly in a folder, unfinished ones too; none when there is no folder."""

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None when there is none."""

    def sync(self, names: Iterable[str]) -> None:
        """Keep files that other libraries wrote, and their names, through a power cut."""

    def move(self, name: str, to: str) -> None:
        """Rename a file or a folder; no error when it is gone already."""

    def delete(self, name: str) -> None:
        """Remove a file; no error when it is gone already."""


def write_whole(store: Store, name: str, raw: bytes) -> str:
    """Write a file whole or not at all, and return its address.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        with store.creating(name) as file:
            file.write(raw)
    except OSError as error:
        raise StoreError(f"cannot write {store.path(name)}: {error}") from error
    return store.path(name)
