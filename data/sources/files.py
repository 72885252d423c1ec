"""Files on disk: safe reading of one file, listing of a folder, and sidecars of a file."""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..errors import InputError, UnreadableImage
from ..images.limits import too_many_bytes
from ..object_addresses import is_object
from ..vocabulary import Reason
from .items import Item, SourceOptions, bad_item
from .labelling import (
    IMAGE_SUFFIXES,
    MAX_SIDECAR_BYTES,
    SIDECAR_SUFFIXES,
    sidecar_stem,
    stems_of_image,
    tags_of,
)
from .sidecars import Sidecars
from .uris import file_uri, stamp_of

# Opened without blocking: a named pipe in a folder must not stop the run.
_OPEN_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NOT_A_LINK: Final = getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True)
class FileAddress:
    """Address of a file; with `root`, its real path must lie below that folder."""

    path: str
    root: str | None = None

    def read(self, options: SourceOptions) -> bytes:
        """Return the file's bytes, at most `limits.max_bytes`.

        Raises:
            UnreadableImage: The file is outside `root`, not a regular file, unreadable, or too
                large.
        """
        limit = options.limits.max_bytes
        try:
            descriptor = _opened(self.path, self.root)
            try:
                about = os.fstat(descriptor)
                if not stat.S_ISREG(about.st_mode):
                    raise UnreadableImage(Reason.NOT_AN_IMAGE, "not a regular file")
                if about.st_size > limit:
                    raise too_many_bytes(about.st_size, options.limits)
                raw = _read(descriptor, about.st_size, limit)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise UnreadableImage(*explain_os_error(error)) from error
        if len(raw) > limit:
            raise too_many_bytes(f"over {limit}", options.limits)
        return raw


def _opened(path: str, root: str | None) -> int:
    """Open a file, and return its descriptor.

    What counts is the path of the open file: a path looked at before could lead elsewhere when it
    is opened. It is also one call of the system instead of one per folder.

    Args:
        path: Path of the file.
        root: Real path of the folder that the file must lie below; None for no restriction.

    Raises:
        UnreadableImage: The file is outside `root`.
        OSError: The file cannot be opened.
    """
    if root is None:
        return os.open(path, _OPEN_FLAGS)
    try:
        descriptor = os.open(path, _OPEN_FLAGS | _NOT_A_LINK)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        # A link is looked at first: opening a device may change something.
        _require_inside(os.path.realpath(path), root)
        descriptor = os.open(path, _OPEN_FLAGS)
    try:
        _require_inside(_path_of(descriptor, path), root)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _read(descriptor: int, n_bytes: int, limit: int) -> bytes:
    """Return the bytes of an open file, and at most one more than `limit`.

    Args:
        descriptor: File open at its start.
        n_bytes: Size of the file; it may have changed.
        limit: Largest allowed number of bytes.
    """
    # Room for `limit` bytes would be allocated for each file, and cleared in part.
    raw = os.read(descriptor, n_bytes + 1)
    if len(raw) == n_bytes:
        return raw
    parts, n_read = [raw], len(raw)
    while n_read <= limit and (part := os.read(descriptor, min(2**20, limit + 1 - n_read))):
        parts.append(part)
        n_read += len(part)
    return b"".join(parts)


def _path_of(descriptor: int, path: str) -> str:
    """Return the real path of an open file, from the system or, failing that, from its path."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return os.path.realpath(path)


def _require_inside(path: str, root: str) -> None:
    if not is_inside(path, root):
        raise UnreadableImage(Reason.UNSAFE_PATH, "a link that leads out of its folder")


def explain_os_error(error: OSError | ValueError) -> tuple[Reason, str]:
    """Return reason and detail for a file that cannot be read, without its path."""
    if isinstance(error, ValueError):
        return Reason.BAD_ROW, f"not a usable path: {error}"
    text = error.strerror or str(error)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Reason.NOT_FOUND, text
    if isinstance(error, IsADirectoryError):
        return Reason.NOT_AN_IMAGE, "a folder"
    if isinstance(error, PermissionError):
        return Reason.NOT_PERMITTED, text
    if error.errno == errno.ELOOP:
        return Reason.UNSAFE_PATH, "a loop of symbolic links"
    if error.errno == errno.ENAMETOOLONG:
        return Reason.NOT_FOUND, text
    return Reason.UNREADABLE, text


def root_of(path: str, roots: tuple[str, ...]) -> str:
    """Return the real path of the root that the real path of a file lies below.

    Raises:
        UnreadableImage: The path lies below none of the roots (UNSAFE_PATH).
    """
    real = os.path.realpath(path)
    for root in map(_real_root, (root for root in roots if not is_object(root))):
        if is_inside(real, root):
            return root
    detail = f"a path outside the folders allowed for lists (--root): {', '.join(roots)}"
    raise UnreadableImage(Reason.UNSAFE_PATH, detail)


@functools.lru_cache(maxsize=64)
def _real_root(root: str) -> str:
    return os.path.realpath(os.path.expanduser(root))  # noqa: PTH111


def is_inside(path: str, root: str) -> bool:
    """Return whether an absolute path is `root` or lies below it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def item_of_file(
    path: str,
    options: SourceOptions,
    *,
    folders: tuple[str, ...],
    sidecars: Sidecars,
    root: str | None = None,
    fields: Mapping[str, object] | None = None,
) -> Item:
    """Return the item of one file.

    Args:
        path: Absolute path of the file.
        options: Settings of listing; `label_from` and `domain_from` are used.
        folders: Names of the folders above the file that may be labels, the outermost first.
        sidecars: Sidecars in the file's folder.
        root: Real path of the folder that the file must lie below; None for no restriction.
        fields: Label and domain from a table of the folder.
    """
    folder, name = os.path.split(path)
    beside, note = sidecars.of(name)
    bodies = {suffix: _head_of(_join(folder, found), root) for suffix, found in beside.items()}
    tags = tags_of(options, folders=folders, fields=fields, sidecars=bodies, note=note)
    uri = file_uri(path)
    try:
        if root is not None and leads_out(path, root):
            detail = "a link that leads out of its folder"
            return bad_item(uri, Reason.UNSAFE_PATH, detail, tags=tags)
        fingerprint = stamp_of(os.stat(path))  # noqa: PTH116
    except OSError as error:
        reason, detail = explain_os_error(error)
        return bad_item(uri, reason, detail, fingerprint="missing", tags=tags)
    return Item(
        source_uri=uri,
        fingerprint=fingerprint,
        label=tags.label,
        domain=tags.domain,
        note=tags.note,
        address=FileAddress(path, root),
    )


def leads_out(path: str, root: str) -> bool:
    """Return whether a file is a symbolic link to a target outside `root`, a real path."""
    return os.path.islink(path) and not is_inside(os.path.realpath(path), root)  # noqa: PTH114


def _head_of(path: str, root: str | None) -> bytes:
    try:
        with open(_opened(path, root), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return b""
            return file.read(MAX_SIDECAR_BYTES)
    except (OSError, UnreadableImage):
        return b""


def named_sidecars(path: str) -> Sidecars:
    """Return the sidecars of a single file, without listing its folder."""
    folder, name = os.path.split(path)
    beside = (
        stem + suffix
        for stem in stems_of_image(name)
        for suffix in _SIDECAR_SUFFIXES
        if os.path.isfile(_join(folder, stem + suffix))  # noqa: PTH113
    )
    return Sidecars([name, *beside])


def is_sidecar(path: str) -> bool:
    """Return whether a file is, by name, the sidecar of an image in the same folder."""
    stem = sidecar_stem(path)
    if stem is None:
        return False
    if stem.lower().endswith(IMAGE_SUFFIXES) and os.path.isfile(stem):  # noqa: PTH113
        return True
    return any(os.path.isfile(stem + suffix) for suffix in _IMAGE_SUFFIXES)  # noqa: PTH113


_IMAGE_SUFFIXES: Final = (*IMAGE_SUFFIXES, *map(str.upper, IMAGE_SUFFIXES))
_SIDECAR_SUFFIXES: Final = (*SIDECAR_SUFFIXES, *map(str.upper, SIDECAR_SUFFIXES))


def list_folder(folder: str) -> tuple[list[str], list[str], list[str]]:
    """Return the names of files (and links to them), of folders, and of links to folders."""
    files: list[str] = []
    folders: list[str] = []
    links: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                files.append(entry.name)
            elif entry.is_symlink():
                (links if _is_folder(entry) else files).append(entry.name)
    return sorted(files), sorted(folders), sorted(links)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def require_folder(path: str) -> None:
    """Refuse a folder that cannot be listed.

    Raises:
        InputError: The folder does not exist or cannot be read.
    """
    try:
        os.scandir(path).close()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a folder that can be read") from error


def _join(*parts: str) -> str:
    return os.path.join(*parts)  # noqa: PTH118
