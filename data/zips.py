"""Pictures in ZIP archives: listed from the central directory, read by size that is real.

What a member's header claims is not believed: reading stops at the byte limit, and names
that lead out of the archive, links and devices are items with a problem.
"""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import InputError, UnreadableImage
from .handles import Handles
from .items import Item, SourceOptions, bad_item
from .labelling import (
    MAX_SIDECAR_BYTES,
    sidecar_stem,
    stems_of_picture,
    tags_of,
)
from .naming import escape_of, is_chosen, is_hidden, member_uri, parts_of, stamp_of
from .opening import too_many_bytes
from .schema import Reason

_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
)
_ENCRYPTED: Final = 0x1
_handles: Final[Handles[zipfile.ZipFile]] = Handles()


@dataclass(frozen=True, slots=True)
class ZipAddress:
    """A member by its place in the central directory: names may occur twice."""

    path: str
    index: int
    name: str

    def read(self, options: SourceOptions) -> bytes:
        """The member's bytes, unpacked up to the byte limit and no further."""
        try:
            archive = _open(self.path)
            member = archive.infolist()[self.index]
            if member.filename != self.name:
                raise UnreadableImage(Reason.UNREADABLE, "the archive changed since it was listed")
            return _unpack(archive, member, options)
        except FileNotFoundError as error:
            raise UnreadableImage(Reason.NOT_FOUND, "the archive is gone") from error
        except _DAMAGE as error:
            detail = f"damaged in the archive: {error or type(error).__name__}"
            raise UnreadableImage(Reason.UNREADABLE, detail) from error


def _open(path: str) -> zipfile.ZipFile:
    stamp = stamp_of(Path(path).stat())
    # Reads of one ZipFile from several threads are safe: it locks around its file.
    return _handles.get((path, stamp), lambda: zipfile.ZipFile(path))


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, options: SourceOptions) -> bytes:
    limit = options.limits.max_bytes
    if member.flag_bits & _ENCRYPTED:
        raise UnreadableImage(Reason.UNREADABLE, "encrypted in the archive")
    if member.file_size > limit:
        raise too_many_bytes(member.file_size, options.limits)
    with archive.open(member) as packed:
        raw = packed.read(limit + 1)
    if len(raw) > limit:
        raise too_many_bytes(f"over {limit}", options.limits)
    return raw


def require_zip(path: str) -> None:
    """Raises `InputError` unless the archive's directory can be read."""
    try:
        _open(path)
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable ZIP archive: {error}") from error


def list_zip(path: str, options: SourceOptions) -> Iterator[Item]:
    """The items of a ZIP archive, in the order of its directory.

    Memory: the directory, about 1 KB per member.
    """
    archive = _open(path)
    members = archive.infolist()
    n_of_name = Counter(member.filename for member in members)
    by_stem = _sidecars(members)
    owned = {
        place
        for member in members
        for stem in _stems(member.filename)
        for place in by_stem.get(stem, {}).values()
    }
    for index, member in enumerate(members):
        parts = parts_of(member.filename)
        escape = escape_of(member.filename)
        if member.is_dir() or (escape is None and (is_hidden(parts) or index in owned)):
            continue
        if not is_chosen(parts, options):
            continue
        name = member.filename
        uri = member_uri("zip", path, name, mark=index if n_of_name[name] > 1 else None)
        mode = member.external_attr >> 16
        if escape is not None:
            yield bad_item(uri, Reason.UNSAFE_PATH, f"a member with {escape}")
        elif stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
            yield bad_item(uri, Reason.UNSAFE_PATH, "a link or a device in an archive")
        else:
            bodies = {
                suffix: _sidecar_body(archive, members[place])
                for stem in reversed(_stems(name))
                for suffix, place in by_stem.get(stem, {}).items()
            }
            tags = tags_of(options, folders=(Path(path).stem, *parts[:-1]), sidecars=bodies)
            yield Item(
                source_uri=uri,
                fingerprint=f"{member.CRC:08x}-{member.file_size}-{member.compress_size}",
                label=tags.label,
                domain=tags.domain,
                note=tags.note,
                address=ZipAddress(path, index, name),
            )


def _sidecars(members: list[zipfile.ZipInfo]) -> dict[str, dict[str, int]]:
    """Places of files that may be sidecars, by the stem of their path and then by suffix."""
    found: dict[str, dict[str, int]] = {}
    for index, member in enumerate(members):
        stem = sidecar_stem(member.filename)
        if stem is not None and not member.is_dir():
            suffix = member.filename[len(stem) :].lower()
            found.setdefault(stem, {})[suffix] = index
    return found


def _stems(path: str) -> list[str]:
    folder, slash, name = path.rpartition("/")
    return [folder + slash + stem for stem in stems_of_picture(name)]


def _sidecar_body(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        if member.flag_bits & _ENCRYPTED:
            return b""
        with archive.open(member) as packed:
            return packed.read(MAX_SIDECAR_BYTES)
    except _DAMAGE:
        return b""
