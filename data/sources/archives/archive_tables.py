"""Special members of archives: tables of labels, and lakes, whose members are not items."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

from ...store.lake_mark import MARKER
from ...vocabulary import Reason
from ..folders.metadata import Metadata, is_metadata, read_metadata
from ..items import Item, SourceOptions, bad_item
from ..uris import member_uri, parts_of

MAX_TABLE_BYTES: Final = 16 * 2**20


class ArchiveTables:
    """Tables of labels in an archive, and its folders that are lakes.

    Args:
        names: Paths of all members that are files.
        read: Function from a member's name to its bytes, at most `MAX_TABLE_BYTES`; None if the
            member cannot be read.
        options: Settings of listing; `label_from` and `domain_from` are used.
    """

    def __init__(
        self, names: Iterable[str], read: Callable[[str], bytes | None], options: SourceOptions
    ) -> None:
        self._paths: set[tuple[str, ...]] = set()
        self._lakes: set[tuple[str, ...]] = set()
        self._tables: dict[tuple[str, ...], list[Metadata]] = {}
        self._members: dict[str, Metadata] = {}
        found = []
        for name in names:
            last = name.replace("\\", "/").rpartition("/")[2]
            if last == MARKER:
                self._lakes.add(tuple(parts_of(name)[:-1]))
            elif is_metadata(last):
                found.append((name, last))
        for name, last in found:
            raw = read(name)
            table = None if raw is None else read_metadata(last, _stream_of(raw), options)
            if table is not None:
                self._members[name] = table
                self._tables.setdefault(tuple(parts_of(name)[:-1]), []).append(table)
        if self._tables:
            self._paths = {tuple(parts_of(name)) for name in names}

    @property
    def is_lake(self) -> bool:
        """Whether the archive as a whole is a lake."""
        return () in self._lakes

    def skips(self, name: str, parts: list[str]) -> bool:
        """Return whether a member is a table of labels or lies in a lake."""
        return name in self._members or (
            bool(self._lakes) and any(tuple(parts[:n]) in self._lakes for n in range(len(parts)))
        )

    def fields_of(self, parts: list[str]) -> dict[str, object]:
        """Return the fields of a member in the nearest table that names it; {} without one."""
        if not self._tables:
            return {}
        for depth in range(len(parts) - 1, -1, -1):
            for table in self._tables.get(tuple(parts[:depth]), ()):
                fields = table.fields.get("/".join(parts[depth:]))
                if fields is not None:
                    return fields
        return {}

    def problems(self, scheme: str, path: str) -> Iterator[Item]:
        """Yield an item for each table row without a member, and one for a lake.

        Args:
            scheme: Scheme of the URIs: "tar" or "zip".
            path: Path of the archive.
        """
        if self.is_lake:
            detail = "an assay lake, not a source; unpack it, and use assay score or assay publish"
            uri = member_uri(scheme, path, MARKER)
            yield bad_item(uri, Reason.NOT_AN_IMAGE, detail)
        for name, table in self._members.items():
            folder = parts_of(name)[:-1]
            problems = {
                number: (Reason.NOT_FOUND, f"no such member: {file}")
                for file, number in table.row_of.items()
                if (*folder, *file.split("/")) not in self._paths
            }
            problems |= {n: (Reason.BAD_ROW, detail) for n, detail in table.problems.items()}
            for number, (reason, detail) in sorted(problems.items()):
                uri = member_uri(scheme, path, name, mark=f"row-{number}")
                yield bad_item(uri, reason, detail)


def _stream_of(raw: bytes) -> io.BufferedReader:
    return io.BufferedReader(cast("io.RawIOBase", io.BytesIO(raw)))
