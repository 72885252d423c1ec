"""Images in ZIP archives, listed from the central directory.

Headers are not trusted: reading stops at the byte limit, and members with names that lead out of
the archive, links and devices are items with a problem.
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

from ...errors import InputError, UnreadableImage
from ...images.limits import too_many_bytes
from ...object_addresses import is_object
from ...vocabulary import Reason
from ..buckets.open_file import file_stamp, open_file, read_start
from ..handles import Handles
from ..items import Item, SourceOptions, bad_item
from ..labelling import MAX_SIDECAR_BYTES, tags_of
from ..packed import UNPACKS_TOO_MUCH, Credit
from ..sidecars import Sidecars
from ..uris import escape_of, is_chosen, is_hidden, member_uri, parts_of, shielded
from .archive_tables import MAX_TABLE_BYTES, ArchiveTables

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
_UTF8_NAME: Final = 0x800
_LOCAL_HEADER_BYTES: Final = 30
_handles: Final[Handles[zipfile.ZipFile]] = Handles()


@dataclass(frozen=True, slots=True)
class ZipAddress:
    """Address of a member by its index in the central directory, since names may repeat."""

    path: str
    index: int
    name: str

    def read(self, options: SourceOptions) -> bytes:
        """Return the member's bytes, decompressed up to the byte limit.

        Raises:
            UnreadableImage: The archive is missing, changed or damaged, or the member is encrypted
                or too large.
        """
        try:
            archive = _open(self.path)
            member = archive.infolist()[self.index]
            if member.filename != self.name:
                raise UnreadableImage(Reason.UNREADABLE, "the archive changed since it was listed")
            return _unpack(archive, member, options)
        except FileNotFoundError as error:
            raise UnreadableImage(Reason.NOT_FOUND, "the archive was removed") from error
        except _DAMAGE as error:
            detail = f"damage in the archive: {error or type(error).__name__}"
            raise UnreadableImage(Reason.UNREADABLE, detail) from error


def _open(path: str) -> zipfile.ZipFile:
    # ZipFile locks around its file, so several threads may read from it.
    return _handles.get((path, file_stamp(path)), lambda: _opened(path))


def _opened(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(open_file(path) if is_object(path) else path)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, options: SourceOptions) -> bytes:
    if member.flag_bits & _ENCRYPTED:
        raise UnreadableImage(Reason.UNREADABLE, "encrypted in the archive")
    if member.file_size > options.limits.max_bytes:
        raise too_many_bytes(member.file_size, options.limits)
    with archive.open(member) as packed:
        # A member that holds more than it states is unpacked by as much at once as requested.
        # One byte more than stated, so that the checksum is compared.
        return packed.read(member.file_size + 1)


def require_zip(path: str, _options: SourceOptions) -> None:
    """Refuse an archive whose central directory cannot be read.

    Raises:
        InputError: The file is not a readable ZIP archive.
    """
    try:
        _open(path)
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable ZIP archive: {error}") from error


def list_zip(path: str, options: SourceOptions) -> Iterator[Item]:
    """Yield the items of a ZIP archive, in the order of its directory.

    Members that share bytes with others, as in ZIP bombs, are items with a problem. So is a
    preceding archive that the directory does not list. Memory: the directory, about 1 KB per
    member.
    """
    archive = _open(path)
    members = archive.infolist()
    n_of_name = Counter(member.filename for member in members)
    files = {member.filename: member for member in members if not _is_folder(member)}
    sidecars = Sidecars(files)
    tables = ArchiveTables(files, lambda name: _table_body(archive, files[name]), options)
    overlapping = _overlapping(members)
    credit = Credit()
    for index, member in enumerate(members):
        name = member.filename
        is_plain = name.isascii() or member.flag_bits & _UTF8_NAME
        parts = parts_of(name if is_plain else shielded(name))
        escape = escape_of(name if is_plain else shielded(name))
        if _is_folder(member) or (escape is None and (is_hidden(parts) or name in sidecars)):
            continue
        if tables.skips(name, parts) or not is_chosen(parts, options):
            continue
        uri = member_uri("zip", path, name, mark=index if n_of_name[name] > 1 else None)
        mode = member.external_attr >> 16
        if escape is not None:
            yield bad_item(uri, Reason.UNSAFE_PATH, f"a member with {escape}")
        elif stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
            yield bad_item(uri, Reason.UNSAFE_PATH, "a link or a device in an archive")
        elif index in overlapping:
            yield bad_item(uri, Reason.UNREADABLE, "a member that shares its bytes with another")
        elif not credit.allows(member.compress_size, member.file_size):
            yield bad_item(
                uri, Reason.TOO_MANY_BYTES, f"with the members before it, {UNPACKS_TOO_MUCH}"
            )
        else:
            found, note = sidecars.of(name)
            bodies = {suffix: _sidecar_body(archive, files[it]) for suffix, it in found.items()}
            tags = tags_of(
                options,
                folders=(Path(path).stem, *parts[:-1]),
                fields=tables.fields_of(parts),
                sidecars=bodies,
                note=note,
            )
            yield Item(
                source_uri=uri,
                fingerprint=f"{member.CRC:08x}-{member.file_size}-{member.compress_size}",
                label=tags.label,
                domain=tags.domain,
                note=tags.note,
                address=ZipAddress(path, index, name),
            )
    yield from tables.problems("zip", path)
    if _has_archive_in_front(path, members):
        yield bad_item(
            member_uri("zip", path, "", mark="joined"),
            Reason.UNREADABLE,
            "another ZIP archive precedes this one, and its members are not listed; split the file",
        )


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.file_size == 0 and member.filename.endswith(("/", "\\"))


def _overlapping(members: list[zipfile.ZipInfo]) -> set[int]:
    """Return the indices of members that overlap an earlier member in the file."""
    found: set[int] = set()
    end = 0
    for index in sorted(range(len(members)), key=lambda place: members[place].header_offset):
        member = members[index]
        if member.header_offset < end:
            found.add(index)
        else:
            end = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size
    return found


def _has_archive_in_front(path: str, members: list[zipfile.ZipInfo]) -> bool:
    first = min((member.header_offset for member in members), default=0)
    if first <= 0:
        return False
    return read_start(path).startswith(b"PK\3\4")


def _table_body(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | None:
    if member.file_size > MAX_TABLE_BYTES:
        return None
    body = _sidecar_body(archive, member, MAX_TABLE_BYTES + 1)
    return body if len(body) <= MAX_TABLE_BYTES else None


def _sidecar_body(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int = MAX_SIDECAR_BYTES
) -> bytes:
    try:
        if member.flag_bits & _ENCRYPTED:
            return b""
        with archive.open(member) as packed:
            return packed.read(max_bytes)
    except _DAMAGE:
        return b""
