"""What a place of a dataset can do, be it a folder or a prefix of an object store.

`Place` is where a dataset is, or is to be; `Publication` is a place held for one dataset that is
being written.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

LOCK_NAME: Final = "VERSIONS.lock"
"""File that names the data files of a dataset, with their sizes and hashes."""
CARD_NAME: Final = "README.md"


class Publication(Protocol):
    """A place held for one publication."""

    @property
    def work(self) -> Path:
        """Temporary folder on this machine to write to."""

    @property
    def data(self) -> str:
        """Folder of the data files below the place."""

    @property
    def recovered(self) -> str | None:
        """Description of the recovery from an interrupted publication; None for none."""

    def keep(self, name: str) -> None:
        """Take a finished data file.

        Raises:
            StoreError: The file cannot be written to the place.
        """

    def put(self) -> None:
        """Put the finished dataset in its place.

        Raises:
            ConfigError: Another process has published there meanwhile.
            OSError: The place cannot be written.
            StoreError: The object store cannot be written.
        """


class Place(Protocol):
    """Named files of one dataset; names use `/` as separator and never start with it."""

    @property
    def kind(self) -> str:
        """Word for the place: folder or prefix."""
        ...

    @property
    def name(self) -> str:
        """Last part of the address."""
        ...

    @property
    def storage_options(self) -> dict[str, str] | None:
        """Settings of the object store for polars; None for a local folder."""

    def path(self, name: str) -> str:
        """Return the full address of a file."""
        ...

    def n_bytes(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if it does not exist.

        Raises:
            OSError: The place cannot be read.
        """

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a small file; None if it does not exist.

        Raises:
            OSError: The place cannot be read.
        """

    def local(self, name: str) -> AbstractContextManager[Path]:
        """Open a file as one on this machine for the block.

        Raises:
            OSError: The file cannot be read.
        """
        ...

    def is_taken(self) -> bool:
        """Return whether anything is there that a publication would replace.

        Raises:
            ConfigError: The place is a file.
            OSError: The place cannot be read.
        """
        ...

    def is_published(self) -> bool:
        """Return whether a dataset is there, by its lock.

        Raises:
            OSError: The place cannot be read.
        """
        ...

    def publishing(self) -> AbstractContextManager[Publication]:
        """Hold the place for one publication, and recover from interrupted ones.

        Raises:
            ConfigError: Another process is publishing there, or the place cannot be written.
            StoreError: The object store cannot be read.
        """
        ...
