"""A lake's files in a local folder, written atomically and durably.

obstore's store for folders is not used, since it syncs neither files nor folders.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow as pa

from .files import TMP_PREFIX, NewFile, StoredFile


class LocalStore:
    """Store in a local or mounted folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = str(root)
        self.storage_options: dict[str, str] | None = None

    def path(self, name: str) -> str:
        """Return the full path of a name."""
        return str(self.root / name)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None if it does not exist."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open_input(self, name: str) -> pa.NativeFile:
        """Open a file for random reads by pyarrow.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        return pa.OSFile(self.path(name), "rb")

    def create(self, name: str, raw: bytes) -> bool:
        """Write a small file and return True; return False if the name exists."""
        final, tmp = self._places(name)
        try:
            with tmp.open("xb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            _link(tmp, final)
        except FileExistsError:
            return False
        finally:
            tmp.unlink(missing_ok=True)
        _sync_folder(final.parent)
        return True

    @contextlib.contextmanager
    def creating(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file that gets its name when the block succeeds, and is discarded otherwise."""
        folder, _, last = name.rpartition("/")
        with self.creating_in(folder) as new:
            yield new.file
            new.name = last

    @contextlib.contextmanager
    def creating_in(self, folder: str) -> Iterator[NewFile]:
        """Open a file of a folder that gets the name that the block has set, if it succeeds."""
        place = self.root / folder
        _make_folder(place)
        tmp = place / f"{TMP_PREFIX}{secrets.token_hex(6)}"
        try:
            with tmp.open("xb") as file:
                new = NewFile(file)
                yield new
                if new.name is not None:
                    file.flush()
                    os.fsync(file.fileno())
            if new.name is not None:
                tmp.replace(place / new.name)
        finally:
            tmp.unlink(missing_ok=True)
        _sync_folder(place)

    def files(self, folder: str = "") -> list[StoredFile]:
        """Return the files directly in a folder, with unfinished ones; [] for a missing folder."""
        found = []
        gone = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with gone, os.scandir(self.root / folder) as entries:
            for entry in entries:
                # Another process may rename or remove a file during the listing.
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        facts = entry.stat()
                        found.append(
                            StoredFile(name=name, modified_s=facts.st_mtime, n_bytes=facts.st_size)
                        )
        return sorted(found, key=lambda file: file.name)

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if it does not exist."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sync(self, names: Iterable[str]) -> None:
        """Make files written by other libraries, and their names, durable."""
        folders = set()
        for name in names:
            file = self.root / name
            with contextlib.suppress(FileNotFoundError):
                _sync(file)
            folders |= {self.root / folder for folder in PurePosixPath(name).parents}
        for folder in folders:
            _sync_folder(folder)

    def move(self, name: str, to: str) -> None:
        """Rename a file or folder; a missing one is no error."""
        final = self.root / to
        _make_folder(final.parent)
        with contextlib.suppress(FileNotFoundError):
            (self.root / name).rename(final)
        _sync_folder(final.parent)

    def delete(self, name: str) -> None:
        """Remove a file; a missing one is no error."""
        (self.root / name).unlink(missing_ok=True)

    def _places(self, name: str) -> tuple[Path, Path]:
        """Return the final and the temporary path of a file; create their folder."""
        final = self.root / name
        _make_folder(final.parent)
        return final, final.with_name(f"{TMP_PREFIX}{secrets.token_hex(6)}-{final.name}")


def _link(tmp: Path, final: Path) -> None:
    """Name a file unless the name exists; without hard links an existing file is replaced."""
    try:
        os.link(tmp, final)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
            raise
        tmp.replace(final)


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, on systems that can sync a folder."""
    if os.name == "nt":
        return
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EINVAL, errno.ENOTSUP}:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
