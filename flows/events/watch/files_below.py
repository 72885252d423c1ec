"""The files below a watched folder, one by one, in bounded memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from ....data.errors import InputError, shorten
from ....data.source_paths import path_of
from ....data.sources.files import leads_out
from ....data.sources.items import SourceOptions
from ....data.sources.uris import file_uri, is_chosen, is_hidden, stamp_of
from ....data.store.lake_mark import is_lake

_log = logging.getLogger(__name__)

# Names that browsers and programs for transfers give to files while they are written.
UNFINISHED: Final = (
    *(".part", ".partial", ".crdownload", ".download", ".filepart"),
    *(".tmp", ".temp", ".upload", ".uploading", ".swp", "~"),
)


class FileState(NamedTuple):
    """A file as it is listed.

    Attributes:
        source: `file://` URI of the file, or address of the object.
        n_bytes: Size in bytes.
        stamp: Text that changes if the content may have changed.
        changed_s: Time of the last change of the file or its name, in Unix seconds; 0 for an
            object.
    """

    source: str
    n_bytes: int
    stamp: str
    changed_s: float


class Walk:
    """One walk over the files below a folder.

    Hidden files, lakes, files with the name of an unfinished one, and links that lead out of the
    folder are left out. Links to folders are not followed.

    Args:
        folder: Absolute path of the folder.
        options: Settings of listing; `include` and `exclude` are used.

    Attributes:
        is_complete: Whether all folders could be read; valid after the walk.
    """

    def __init__(self, folder: str, options: SourceOptions) -> None:
        self._folder = folder
        self._options = options
        self._real = os.path.realpath(folder)
        self.is_complete = True

    def __iter__(self) -> Iterator[FileState]:
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            below = waiting.pop()
            folder = os.path.join(self._folder, *below)  # noqa: PTH118
            if is_lake(folder):
                continue
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if is_hidden([entry.name]):
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((*below, entry.name))
                        elif (found := self._state(entry, below)) is not None:
                            yield found
            except FileNotFoundError:
                continue  # removed since it was listed
            except OSError as error:
                if not below:
                    raise InputError(f"{folder}: {error.strerror}; watch another folder") from error
                self.is_complete = False
                _log.warning("%s cannot be read: %s", shorten(folder), error.strerror)

    def _state(self, entry: os.DirEntry[str], below: tuple[str, ...]) -> FileState | None:
        name = entry.name
        if name.lower().endswith(UNFINISHED) or not is_chosen((*below, name), self._options):
            return None
        try:
            if not entry.is_file() or leads_out(entry.path, self._real):
                return None
            about = entry.stat()
        except OSError:
            return None  # removed since it was listed
        changed_s = max(about.st_mtime, about.st_ctime)
        return FileState(file_uri(entry.path), about.st_size, stamp_of(about), changed_s)


def folder_of(prefix: str) -> str:
    """Return the absolute path of a watched folder.

    Raises:
        InputError: There is no such folder.
    """
    path = path_of(prefix)
    if path is None:
        raise InputError(f"{prefix}: only folders and object stores can be watched")
    if not os.path.isdir(path):  # noqa: PTH112
        raise InputError(f"{prefix}: no such folder (absolute path: {path})")
    return path
