"""Images in TAR archives, plain or compressed, including WebDataset shards.

All headers are read before the first item, since an image's sidecars may be anywhere in the
archive. Members of a plain archive are then read by offset, members of a compressed one from a
forward-only stream.
"""

from __future__ import annotations

import lzma
import struct
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final, Protocol, Self, cast

from ...errors import InputError, UnreadableImage
from ...images.limits import too_many_bytes
from ...text.wording import counted
from ...vocabulary import Reason
from ..buckets.open_file import file_stamp, open_file, read_part
from ..folders.metadata import is_metadata
from ..handles import Handles, WindowedStream
from ..items import Item, SourceOptions, bad_item
from ..labelling import MAX_SIDECAR_BYTES, sidecar_stem, tags_of
from ..packed import PackedStream, PackedTooMuchError, unpacker_of
from ..sidecars import Sidecars
from ..uris import escape_of, is_chosen, is_hidden, member_uri, parts_of
from .archive_tables import MAX_TABLE_BYTES, ArchiveTables

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
# A header may declare gigabytes of attributes, which would be read into memory.
_MAX_HEADER_BYTES: Final = 2**20
_BLOCK_BYTES: Final = 512
# Less than the distance that a compressed stream can seek back.
_SKIP_BYTES: Final = 2**15
# Total size of sidecars held in memory, since compressed members cannot be read in any order.
_MAX_SIDECARS_BYTES: Final = 128 * 2**20
_handles: Final[Handles[WindowedStream]] = Handles()


@dataclass(frozen=True, slots=True)
class TarAddress:
    """Address of a member by the offset of its data in the decompressed archive."""

    path: str
    offset: int
    n_bytes: int

    def read(self, options: SourceOptions) -> bytes:
        """Return the member's bytes.

        Raises:
            UnreadableImage: The archive is missing, damaged or truncated, or the member or the
                archive exceeds a limit.
        """
        if self.n_bytes > options.limits.max_bytes:
            raise too_many_bytes(self.n_bytes, options.limits)
        try:
            raw = self._read()
        except FileNotFoundError as error:
            raise UnreadableImage(Reason.NOT_FOUND, "the archive was removed") from error
        except PackedTooMuchError as error:
            raise UnreadableImage(Reason.TOO_MANY_BYTES, f"in an archive: {error}") from error
        except _DAMAGE as error:
            detail = f"damage in the archive: {error or type(error).__name__}"
            raise UnreadableImage(Reason.UNREADABLE, detail) from error
        if len(raw) < self.n_bytes:
            raise UnreadableImage(
                Reason.TRUNCATED, f"the archive ends after {len(raw)} of {self.n_bytes} bytes"
            )
        return raw

    def _read(self) -> bytes:
        unpack = unpacker_of(self.path)
        if unpack is None:
            return read_part(self.path, self.offset, self.n_bytes)
        key = (self.path, file_stamp(self.path))
        stream = _handles.get(key, lambda: WindowedStream(unpack))
        return stream.read_at(self.offset, self.n_bytes)


class _Bytes(Protocol):
    """Decompressed bytes of an archive."""

    def read(self, n_bytes: int, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...
    def tell(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...


class _SmallReads:
    """File for tarfile that treats headers of unreasonable size as damage."""

    def __init__(self, file: _Bytes) -> None:
        self._file = file

    def read(self, n_bytes: int) -> bytes:
        if not 0 <= n_bytes <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {n_bytes} bytes; allowed: {_MAX_HEADER_BYTES}")
        return self._file.read(n_bytes)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


def _open_unpacked(path: str) -> _Bytes:
    unpack = unpacker_of(path)
    return cast("_Bytes", open_file(path)) if unpack is None else unpack()


def _open_headers(file: _Bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast("IO[bytes]", _SmallReads(file)), mode="r:")


def require_tar(path: str, _options: SourceOptions) -> None:
    """Refuse an archive whose first header cannot be read.

    Raises:
        InputError: The file is not a readable TAR archive.
    """
    try:
        with _open_unpacked(path) as file:
            _open_headers(file)
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable TAR archive: {error}") from error


@dataclass(frozen=True, slots=True)
class _Member:
    """Header of a member, in part.

    Attributes:
        name: Path in the archive.
        offset: Offset of the data in the decompressed archive.
        n_bytes: Size of the data in bytes.
        problem: Reason and detail if the member is not a readable file; None otherwise.
        is_folder: Whether the member is a folder, which is not an item.
    """

    name: str
    offset: int
    n_bytes: int
    problem: tuple[Reason, str] | None
    is_folder: bool


@dataclass(slots=True)
class _Listed:
    """Members of an archive, up to the first damage.

    Attributes:
        members: Members in the order of the archive.
        bodies: Leading bytes of possible sidecars and tables of labels, by index of the member.
        end: Offset of the end of the part that was read.
        problem: Reason and detail if the rest was not read; None if all was read.
    """

    members: list[_Member] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)
    end: int = 0
    problem: tuple[Reason, str] | None = None


def list_tar(path: str, options: SourceOptions) -> Iterator[Item]:
    """Yield the items of a TAR archive in its order, and of archives concatenated to it.

    An image's sidecars are the `.json`, `.txt` and `.cls` files of its name, anywhere in the
    archive. An archive with damage, or one that expands beyond the limit, gives the items before
    that point and one item with the problem. Memory: about 250 bytes per member, and the sidecars.
    """
    stamp = file_stamp(path)
    with _open_unpacked(path) as file:
        listed = _read_headers(file)
    files = (m.name for m in listed.members if not m.is_folder and m.problem is None)
    names = dict.fromkeys(files)
    sidecars = Sidecars(names)
    number_of = {member.name: n for n, member in enumerate(listed.members) if n in listed.bodies}
    tables = ArchiveTables(names, lambda name: listed.bodies.get(number_of.get(name, -1)), options)
    place_of = {
        member.name: number
        for number, member in enumerate(listed.members)
        if member.name in sidecars and number in listed.bodies
    }
    seen: set[int] = set()
    for number, member in enumerate(listed.members):
        name = member.name
        parts = parts_of(name)
        escape = escape_of(name)
        if member.is_folder or (escape is None and (is_hidden(parts) or name in sidecars)):
            continue
        if tables.skips(name, parts) or not is_chosen(parts, options):
            continue
        recurs = hash(name) in seen
        seen.add(hash(name))
        uri = member_uri("tar", path, name, mark=number if recurs else None)
        if escape is not None:
            yield bad_item(uri, Reason.UNSAFE_PATH, f"a member with {escape}")
        elif member.problem is not None:
            yield bad_item(uri, *member.problem)
        else:
            found, note = sidecars.of(name)
            tags = tags_of(
                options,
                folders=(_stem_of(path), *parts[:-1]),
                fields=tables.fields_of(parts),
                sidecars={
                    suffix: listed.bodies[place_of[sidecar]]
                    for suffix, sidecar in found.items()
                    if sidecar in place_of
                },
                note=note,
            )
            yield Item(
                source_uri=uri,
                fingerprint=f"{stamp}-{member.offset}-{member.n_bytes}",
                label=tags.label,
                domain=tags.domain,
                note=tags.note,
                address=TarAddress(path, member.offset, member.n_bytes),
            )
    yield from tables.problems("tar", path)
    if listed.problem is not None:
        reason, detail = listed.problem
        mark = f"damaged-after-{len(listed.members)}"
        yield bad_item(member_uri("tar", path, "", mark=mark), reason, detail, fingerprint=stamp)


def _read_headers(file: _Bytes) -> _Listed:
    listed = _Listed()
    room = _MAX_SIDECARS_BYTES
    file_of: dict[str, _Member] = {}
    try:
        start: int | None = 0
        while start is not None:
            file.seek(start)
            archive = _open_headers(file)
            last = start - 1
            while (header := archive.next()) is not None:
                # tarfile keeps all members in memory; a million of them takes a gigabyte.
                archive.members = []  # type: ignore[attr-defined]
                if header.size < 0 or header.offset <= last:
                    raise tarfile.ReadError("a member with an impossible size")
                last = header.offset
                member = _member_of(header)
                if header.islnk():
                    member = _linked(member, file_of.get(header.linkname), file)
                elif member.problem is None and escape_of(member.name) is None:
                    file_of[header.name] = member
                if (most := _kept_bytes(member)) > 0:
                    file.seek(member.offset)
                    body = file.read(min(member.n_bytes, most, room))
                    room -= len(body)
                    listed.bodies[len(listed.members)] = body
                listed.members.append(member)
            listed.end = archive.offset
            start = _start_of_next(file, listed.end)
    except PackedTooMuchError as error:
        detail = f"the archive is refused after {counted(len(listed.members), 'member')}: {error}"
        listed.problem = Reason.TOO_MANY_BYTES, detail
    except _DAMAGE as error:
        listed.problem = (
            Reason.UNREADABLE,
            f"the archive is damaged after {counted(len(listed.members), 'member')}: "
            f"{error or type(error).__name__}",
        )
    return listed


def _kept_bytes(member: _Member) -> int:
    """Return the number of leading bytes to keep of a possible sidecar or table; 0 for others."""
    if member.problem is not None:
        return 0
    if is_metadata(member.name.rpartition("/")[2]):
        return MAX_TABLE_BYTES if member.n_bytes <= MAX_TABLE_BYTES else 0
    return MAX_SIDECAR_BYTES if sidecar_stem(member.name) is not None else 0


def _member_of(header: tarfile.TarInfo) -> _Member:
    problem = None
    if not header.isreg():
        problem = Reason.UNSAFE_PATH, "a link or a device in an archive"
    elif header.issparse():
        problem = Reason.UNREADABLE, "a sparse member; pack it without holes"
    return _Member(header.name, header.offset_data, header.size, problem, header.isdir())


def _linked(link: _Member, target: _Member | None, file: _Bytes) -> _Member:
    """Return a hard link as a member with the data of its target, an earlier file."""
    if target is None:
        return link
    if isinstance(file, PackedStream):
        # Seeking back for every link would decompress the archive again each time.
        detail = "a hard link in a compressed archive to an earlier member; unpack the archive"
        return replace(link, problem=(Reason.UNSAFE_PATH, detail))
    return replace(target, name=link.name)


def _start_of_next(file: _Bytes, end: int) -> int | None:
    """Return the offset of a further archive concatenated after the end; None for none.

    Raises:
        tarfile.ReadError: Other data follow the end, such as half a header.
    """
    file.seek(end)
    at = end
    while part := file.read(_SKIP_BYTES):
        rest = part.lstrip(b"\0")
        if rest:
            start = at + (len(part) - len(rest)) // _BLOCK_BYTES * _BLOCK_BYTES
            file.seek(start)
            if _is_header(file.read(_BLOCK_BYTES)):
                return start
            if start == end:
                # tarfile reads a truncated header as the end of the archive.
                raise tarfile.ReadError("the last header is truncated or damaged")
            raise tarfile.ReadError("its end is followed by data that is not a TAR archive")
        at += len(part)
    return None


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _stem_of(path: str) -> str:
    """Return the archive's name without suffixes such as ".tar" or ".tar.gz"."""
    return Path(path).name.partition(".")[0]
