"""Replacement of a published folder by a new one, recoverable after a kill.

A folder cannot replace another in one step: the old one is renamed away, then the new one into
place. After a kill, unfinished and old folders remain beside the place under hidden names. Only the
holder of the place's lock changes them.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from filelock import FileLock, Timeout

from ...errors import ConfigError, shorten
from ...text.wording import counted
from ...user_paths import from_home
from .place import LOCK_NAME

_OLD: Final = "-old"
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:/")


@dataclass(frozen=True, slots=True)
class Folder:
    """Folder of this machine that holds a published dataset, or is to hold one.

    Attributes:
        root: Absolute path of the folder.
    """

    root: Path

    kind: ClassVar[str] = "folder"
    storage_options: ClassVar[None] = None

    def __str__(self) -> str:
        """Return the path."""
        return str(self.root)

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.root.name

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.root / name)

    def n_bytes(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if it does not exist."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None if it does not exist."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Open a file: it is on this machine."""
        yield self.root / name

    def is_taken(self) -> bool:
        """Return whether the folder has anything in it, or is a link.

        Raises:
            ConfigError: The path is a file.
        """
        if self.root.exists() and not self.root.is_dir():
            raise ConfigError(f"{self} is a file; name a folder to create")
        return _is_taken(self.root)

    def is_published(self) -> bool:
        """Return whether a dataset is there, by its lock."""
        return (self.root / LOCK_NAME).is_file()

    def publishing(self) -> AbstractContextManager[FolderPublication]:
        """Hold the folder for one publication; see `holding`."""
        return holding(self.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPublication:
    """Folder of a dataset, locked for one publication.

    Attributes:
        out: Folder to create or replace.
        work: Temporary folder to write to.
        recovered: Description of the recovery from an interrupted publication; None for none.
        data: Folder of the data files below `out`.
    """

    out: Path
    work: Path
    recovered: str | None
    data: str = "data"

    def keep(self, name: str) -> None:
        """Leave a finished data file where it is."""

    def put(self) -> None:
        """Rename the finished folder to `out`, with an older one renamed away."""
        if not _is_taken(self.out):
            self.work.replace(self.out)
            return
        self.out.rename(self.work.with_name(self.work.name + _OLD))
        self.work.rename(self.out)


def folder_at(out: Path | str) -> Folder:
    """Return the folder at a path, which is made absolute, with a symbolic link resolved.

    Raises:
        ConfigError: The path cannot be a folder on this machine.
    """
    text = str(out)
    if _ADDRESS.match(text):  # pathlib merges the two slashes of a URL
        raise ConfigError(
            f"{text} is neither a local folder nor s3://bucket/prefix, gs://bucket/prefix or"
            " az://container/prefix; publish to a folder and copy it there"
        )
    if not text or "\0" in text:
        raise ConfigError(f"{text!a} is not a valid folder name; give a folder to create")
    place = from_home(text).absolute()
    try:
        if place.is_symlink():
            place = place.resolve()
        place.exists()
    except (OSError, RuntimeError) as error:
        problem = f"cannot write to {shorten(text)}: {shorten(str(error))}"
        raise ConfigError(f"{problem}; give another folder") from error
    if not place.name:
        raise ConfigError(f"{place} cannot be replaced; give a folder below it")
    return Folder(place)


@contextlib.contextmanager
def holding(out: Path) -> Iterator[FolderPublication]:
    """Lock a place while a folder is published, and recover from interrupted publications.

    Args:
        out: Folder to create or replace; its parents are created.

    Raises:
        ConfigError: Another process is publishing there, or the parent folder cannot be written.
    """
    lock = FileLock(out.with_name(f".{out.name}.lock"), timeout=0)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        if not Path(lock.lock_file).exists():
            raise ConfigError(f"no file can be written beside {out}; give another folder") from None
        raise ConfigError(
            f"another process is publishing to {out}; wait until it ends, or give another folder"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot write beside {out}: {error}; give another folder") from error
    try:
        work = out.with_name(f".{out.name}.tmp-{secrets.token_hex(4)}")
        yield FolderPublication(out=out, work=work, recovered=_settle(out))
    finally:
        # Also after an interruption between the two renames.
        _settle(out)
        # A process that has the unlinked file open notices that, and creates a new one.
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def _is_taken(out: Path) -> bool:
    """Return whether a place has a file, a link or a non-empty folder, which would be replaced."""
    return out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir())))


def _settle(out: Path) -> str | None:
    """Finish or undo an interrupted replacement, remove leftovers, and describe the action."""
    is_left = re.compile(rf"\.{re.escape(out.name)}\.tmp-[0-9a-f]{{8}}({_OLD})?").fullmatch
    left = [path for path in out.parent.iterdir() if is_left(path.name) and path.is_dir()]
    action = (
        f"removed {counted(len(left), 'unfinished copy', 'unfinished copies')}" if left else None
    )
    for old in (path for path in left if path.name.endswith(_OLD)):
        work = old.with_name(old.name.removesuffix(_OLD))
        if _is_taken(out):
            continue
        if _is_whole(work):
            work.replace(out)
            action = "completed an interrupted publication"
        else:
            old.replace(out)
            action = "restored the folder that an interrupted publication was replacing"
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return action


def _is_whole(folder: Path) -> bool:
    """Return whether a folder has the list of its files, which is written last, and all files."""
    try:
        files = json.loads((folder / LOCK_NAME).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == f["n_bytes"] for name, f in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
