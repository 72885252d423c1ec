"""A lake's files in a folder: whole or not at all, and there after a power cut.

By hand, since obstore's store for folders neither syncs a file nor its folder.
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

from .files import TMP_PREFIX, StoredFile


class LocalStore:
    """A folder on this machine (or one mounted here)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = str(root)
        self.storage_options: dict[str, str] | None = None

    def path(self, name: str) -> str:
        """The full address of a name."""
        return str(self.root / name)

    def read(self, name: str) -> bytes | None:
        """The whole file, or None when there is none."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open_input(self, name: str) -> pa.NativeFile:
        """A pyarrow file to read from at random; FileNotFoundError when there is none."""
        return pa.OSFile(self.path(name), "rb")

    def create(self, name: str, raw: bytes) -> bool:
        """Write a small file unless one has that name; False where it was there already."""
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
        """A file to write to that gets its name when the block ends well, and is dropped else."""
        final, tmp = self._places(name)
        try:
            with tmp.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            tmp.replace(final)
        except BaseException:
            tmp.unlink(missing_ok=True)
            raise
        _sync_folder(final.parent)

    def files(self, folder: str = "") -> list[StoredFile]:
        """The files directly in a folder, unfinished ones too; none when there is no folder."""
        found = []
        gone = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with gone, os.scandir(self.root / folder) as entries:
            for entry in entries:
                # A file may be renamed or swept by another process while we list.
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        facts = entry.stat()
                        found.append(
                            StoredFile(name=name, modified_s=facts.st_mtime, n_bytes=facts.st_size)
                        )
        return sorted(found, key=lambda file: file.name)

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None when there is none."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sync(self, names: Iterable[str]) -> None:
        """Keep files that other libraries wrote, and their names, through a power cut."""
        folders = set()
        for name in names:
            file = self.root / name
            with contextlib.suppress(FileNotFoundError):
                _sync(file)
            folders |= {self.root / folder for folder in PurePosixPath(name).parents}
        for folder in folders:
            _sync_folder(folder)

    def move(self, name: str, to: str) -> None:
        """Rename a file or a folder; no error when it is gone already."""
        final = self.root / to
        _make_folder(final.parent)
        with contextlib.suppress(FileNotFoundError):
            (self.root / name).rename(final)
        _sync_folder(final.parent)

    def delete(self, name: str) -> None:
        """Remove a file; no error when it is gone already."""
        (self.root / name).unlink(missing_ok=True)

    def _places(self, name: str) -> tuple[Path, Path]:
        """Return the path of a file and that of its unfinished state; makes their folder."""
        final = self.root / name
        _make_folder(final.parent)
        return final, final.with_name(f"{TMP_PREFIX}{secrets.token_hex(6)}-{final.name}")


def _link(tmp: Path, final: Path) -> None:
    """Give a file its name unless another has it; on systems without links, whatever is there."""
    try:
        os.link(tmp, final)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
            raise
        tmp.replace(final)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each so that a power cut does not undo it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; not every system can open a folder, or sync it."""
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
