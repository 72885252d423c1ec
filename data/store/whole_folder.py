"""The place of a published folder: written beside it, swapped in, and whole again after a kill.

A folder cannot replace another in one step. The swap renames the old one away and the new one in;
what a kill leaves of that, or of the writing before it, lies beside the place under hidden names
that only whoever holds the place's lock may touch.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ..errors import ConfigError, shorten
from ..user_paths import from_home

LOCK_NAME: Final = "VERSIONS.lock"
_OLD: Final = "-old"
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place that is held for one publication.

    Attributes:
        out: Folder to make or to replace.
        work: Folder to write to.
        recovered: What was set right after a publication that was cut off; None: nothing.
    """

    out: Path
    work: Path
    recovered: str | None

    def put(self) -> None:
        """Give the finished folder its name, in the place of an older one."""
        if not is_taken(self.out):
            self.work.replace(self.out)
            return
        self.out.rename(self.work.with_name(self.work.name + _OLD))
        self.work.rename(self.out)


def folder_to_make(out: Path | str) -> Path:
    """Return a place as an absolute path, a link as what it leads to.

    Raises:
        ConfigError: It cannot be a folder on this machine.
    """
    text = str(out)
    if _ADDRESS.match(text):  # a path has lost one of the slashes
        raise ConfigError(f"{text} is no folder; publish to a folder here and copy it there")
    if not text or "\0" in text:
        raise ConfigError(f"{text!a} is no name of a folder; give a folder to make")
    place = from_home(text).absolute()
    try:
        if place.is_symlink():
            place = place.resolve()
        place.exists()
    except (OSError, RuntimeError) as error:
        seen = f"cannot write to {shorten(text)}: {shorten(str(error))}"
        raise ConfigError(f"{seen}; give another folder") from error
    if not place.name:
        raise ConfigError(f"{place} is no folder to make; give one below it")
    return place


@contextlib.contextmanager
def holding(out: Path) -> Iterator[Place]:
    """Hold a place while a folder is made for it; set right what a killed publication left.

    Args:
        out: Folder to make or to replace; its parents are made.

    Raises:
        ConfigError: Another process is publishing there, or the folder above cannot be written.
    """
    lock = FileLock(out.with_name(f".{out.name}.lock"), timeout=0)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ConfigError(
            f"another process is publishing to {out}; wait for it, or give another folder"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot write beside {out}: {error}; give another folder") from error
    try:
        work = out.with_name(f".{out.name}.tmp-{secrets.token_hex(4)}")
        yield Place(out=out, work=work, recovered=_settle(out))
    finally:
        # Also when it was stopped between the two renames.
        _settle(out)
        # Whoever has opened it meanwhile finds that it has no name any more, and makes a new one.
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def is_taken(out: Path) -> bool:
    """Whether something lies at a place that would be lost if another took it."""
    return out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir())))


def _settle(out: Path) -> str | None:
    """Finish or undo a swap that was cut off, and remove what else was left; say what was done."""
    is_left = re.compile(rf"\.{re.escape(out.name)}\.tmp-[0-9a-f]{{8}}({_OLD})?").fullmatch
    left = [path for path in out.parent.iterdir() if is_left(path.name) and path.is_dir()]
    said = f"removed {len(left)} unfinished copies of it" if left else None
    for old in (path for path in left if path.name.endswith(_OLD)):
        work = old.with_name(old.name.removesuffix(_OLD))
        if is_taken(out):
            continue
        if _is_whole(work):
            work.replace(out)
            said = "finished a publication that was cut off while it replaced the folder"
        else:
            old.replace(out)
            said = "put the folder back that a publication was cut off in replacing"
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return said


def _is_whole(folder: Path) -> bool:
    """Whether a folder has the list of its files, which is written last, and all of them."""
    try:
        files = json.loads((folder / LOCK_NAME).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == f["n_bytes"] for name, f in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
