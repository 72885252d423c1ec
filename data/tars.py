"""Pictures in TAR archives, plain or compressed, and in WebDataset's shards.

The archive is listed in one pass that keeps one sample in memory. A plain archive's members
are then read where they lie; a compressed one's from a stream that goes forward.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Final, cast

from .errors import InputError, UnreadableImage
from .handles import ByteStream, Handles, WindowedStream
from .items import Item, SourceOptions, bad_item
from .labelling import (
    MAX_SIDECAR_BYTES,
    SIDECAR_SUFFIXES,
    sidecar_stem,
    stems_of_picture,
    tags_of,
)
from .naming import escape_of, is_chosen, is_hidden, member_uri, parts_of, stamp_of
from .opening import too_many_bytes
from .schema import Reason

_DAMAGE: Final = (
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    OverflowError,
    RecursionError,
)
# A member's header may announce gigabytes of attributes, which would be read into memory.
_MAX_HEADER_BYTES: Final = 2**20
_MAX_GROUP: Final = 64
_handles: Final[Handles[WindowedStream]] = Handles()


@dataclass(frozen=True, slots=True)
class TarAddress:
    """A member by where its data begins in the unpacked archive."""

    path: str
    offset: int
    n_bytes: int

    def read(self, options: SourceOptions) -> bytes:
        """The member's bytes."""
        if self.n_bytes > options.limits.max_bytes:
            raise too_many_bytes(self.n_bytes, options.limits)
        try:
            raw = self._read()
        except FileNotFoundError as error:
            raise UnreadableImage(Reason.NOT_FOUND, "the archive is gone") from error
        except _DAMAGE as error:
            detail = f"damaged in the archive: {error or type(error).__name__}"
            raise UnreadableImage(Reason.UNREADABLE, detail) from error
        if len(raw) < self.n_bytes:
            raise UnreadableImage(
                Reason.TRUNCATED, f"the archive ends after {len(raw)} of {self.n_bytes} bytes"
            )
        return raw

    def _read(self) -> bytes:
        opener = _decompressor_of(self.path)
        if opener is None:
            with Path(self.path).open("rb") as file:
                file.seek(self.offset)
                return file.read(self.n_bytes)
        key = (self.path, stamp_of(Path(self.path).stat()))
        stream = _handles.get(
            key, lambda: WindowedStream(lambda: cast("ByteStream", opener(self.path)))
        )
        return stream.read_at(self.offset, self.n_bytes)


def _decompressor_of(path: str) -> Callable[[str], BufferedIOBase] | None:
    with Path(path).open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        return lambda name: gzip.open(name, "rb")
    if head.startswith(b"BZh"):
        return lambda name: bz2.open(name, "rb")
    if head.startswith(b"\xfd7zXZ\x00"):
        return lambda name: lzma.open(name, "rb")
    return None


class _SmallReads:
    """A file as tarfile sees it: headers of unreasonable size are damage."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file

    def read(self, n_bytes: int) -> bytes:
        if not 0 <= n_bytes <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {n_bytes} bytes; allowed: {_MAX_HEADER_BYTES}")
        return self._file.read(n_bytes)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


def _open_plain(path: str) -> BufferedIOBase:
    opener = _decompressor_of(path)
    return Path(path).open("rb") if opener is None else opener(path)


def _open_headers(file: BufferedIOBase) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast("IO[bytes]", _SmallReads(file)), mode="r:")


def require_tar(path: str) -> None:
    """Raises `InputError` unless the archive's first header can be read."""
    try:
        with _open_plain(path) as file:
            _open_headers(file)
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable TAR archive: {error}") from error


@dataclass(slots=True)
class _Group:
    """Consecutive members of one sample: pictures, and what may be their sidecars."""

    key: str = ""
    members: list[tuple[int, tarfile.TarInfo]] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)


def list_tar(path: str, options: SourceOptions) -> Iterator[Item]:
    """The items of a TAR archive in its order.

    Members that follow one another with the same path up to the first dot of the name are
    one sample, as in WebDataset: its `.json`, `.txt` and `.cls` are its pictures' sidecars.
    An archive that is damaged further in gives the items before it, and one that says so.
    Memory: one sample, and 8 bytes or so of set entry per member to tell names that recur.
    """
    stamp = stamp_of(Path(path).stat())
    seen: set[int] = set()
    group = _Group()
    n_members = 0
    with _open_plain(path) as file:
        try:
            for index, member, body in _members(file):
                n_members = index + 1
                key = _sample_key(member.name)
                if key != group.key or len(group.members) >= _MAX_GROUP:
                    yield from _items_of(group, path, stamp, seen, options)
                    group = _Group(key)
                group.members.append((index, member))
                if body is not None:
                    group.bodies[member.name] = body
            yield from _items_of(group, path, stamp, seen, options)
        except _DAMAGE as error:
            yield from _items_of(group, path, stamp, seen, options)
            yield bad_item(
                member_uri("tar", path, "", mark=f"damaged-after-{n_members}"),
                Reason.UNREADABLE,
                f"the archive is damaged after {n_members} members: "
                f"{error or type(error).__name__}",
                fingerprint=stamp,
            )


def _members(file: BufferedIOBase) -> Iterator[tuple[int, tarfile.TarInfo, bytes | None]]:
    """Members in order, with the bytes of those that may be sidecars."""
    archive = _open_headers(file)
    index = last = -1
    while (member := archive.next()) is not None:
        # tarfile keeps every member it has seen; a million of them is a gigabyte.
        archive.members = []  # type: ignore[attr-defined]
        if member.size < 0 or member.offset <= last:
            raise tarfile.ReadError("a member with an impossible size")
        index, last = index + 1, member.offset
        body = None
        if sidecar_stem(member.name) is not None and member.isreg():
            file.seek(member.offset_data)
            body = file.read(min(member.size, MAX_SIDECAR_BYTES))
        yield index, member, body
    # tarfile takes a header that is cut off for the end of the archive.
    file.seek(archive.offset)
    if file.read(512).strip(b"\0"):
        raise tarfile.ReadError("the last header is cut off")


def _sample_key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _items_of(
    group: _Group, path: str, stamp: str, seen: set[int], options: SourceOptions
) -> Iterator[Item]:
    stems = {stem for _, member in group.members for stem in _stems(member.name)}
    for index, member in group.members:
        name = member.name
        parts = parts_of(name)
        escape = escape_of(name)
        is_sidecar = name in group.bodies and sidecar_stem(name) in stems
        if member.isdir() or (escape is None and (is_hidden(parts) or is_sidecar)):
            continue
        if not is_chosen(parts, options):
            continue
        recurs = hash(name) in seen
        seen.add(hash(name))
        uri = member_uri("tar", path, name, mark=index if recurs else None)
        if escape is not None:
            yield bad_item(uri, Reason.UNSAFE_PATH, f"a member with {escape}")
        elif not member.isreg():
            yield bad_item(uri, Reason.UNSAFE_PATH, "a link or a device in an archive")
        elif member.issparse():
            yield bad_item(uri, Reason.UNREADABLE, "a sparse member; pack it without holes")
        else:
            bodies = {
                suffix: group.bodies[stem + suffix]
                for stem in reversed(_stems(name))
                for suffix in SIDECAR_SUFFIXES
                if stem + suffix in group.bodies
            }
            tags = tags_of(options, folders=(_stem_of(path), *parts[:-1]), sidecars=bodies)
            yield Item(
                source_uri=uri,
                fingerprint=f"{stamp}-{member.offset_data}-{member.size}",
                label=tags.label,
                domain=tags.domain,
                note=tags.note,
                address=TarAddress(path, member.offset_data, member.size),
            )


def _stems(path: str) -> list[str]:
    folder, slash, name = path.rpartition("/")
    return [folder + slash + stem for stem in stems_of_picture(name)]


def _stem_of(path: str) -> str:
    """The archive's name without ".tar", ".tar.gz" and the like."""
    return Path(path).name.partition(".")[0]
