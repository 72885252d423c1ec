"""Entries of a table's Delta log: what each commit added, removed and is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

from ..errors import MissingVersion, StoreError, brief
from .damage import LOG
from .files import Store

# Key of a commit's purpose in its information; an append has none.
PURPOSE: Final = "assay"
COMPACT: Final = "compact"
RESTORE: Final = "restore"
FORGET: Final = "forget"
# Purposes of commits that move rows to other files, and bring none.
REWRITES: Final = frozenset({COMPACT, FORGET})


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """Data file that a commit added.

    Attributes:
        name: Name in the table's folder.
        n_rows: Number of rows; None if the log has none.
        is_new: Whether the rows are new; False for rows of other files, written again.
    """

    name: str
    n_rows: int | None
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One commit to a table.

    Attributes:
        version: Version of the table after the commit.
        at: Time of the commit by the writer's clock, UTC; None if unknown.
        purpose: `append`, `columns`, `create`, `compact`, `forget`, `repair` or
            `restore`.
        txns: Transaction ids.
        added: Data files added.
        removed: Names of the data files removed.
    """

    version: int
    at: datetime | None
    purpose: str
    txns: tuple[str, ...]
    added: tuple[Added, ...]
    removed: tuple[str, ...]


def versions_of(store: Store, folder: str) -> dict[int, float]:
    """Return the versions whose entries exist, ascending, with their Unix times in the store.

    Args:
        store: Store of the lake.
        folder: Folder of the table.
    """
    entries = [
        (PurePosixPath(file.name), file.modified_s) for file in store.files(f"{folder}/{LOG}")
    ]
    return dict(
        sorted(
            (int(path.stem), modified_s)
            for path, modified_s in entries
            if path.suffix == ".json" and path.stem.isdecimal()
        )
    )


def read_entry(store: Store, folder: str, version: int) -> Entry:
    """Return an entry of a table's log.

    Raises:
        MissingVersion: The log has no such entry.
        StoreError: The entry cannot be read.
    """
    name = f"{folder}/{LOG}/{version:020}.json"
    try:
        raw = store.read(name)
        if raw is None:
            raise MissingVersion(f"{store.path(folder)} has lost the entry of version {version}")
        actions: list[dict[str, Any]] = [json.loads(line) for line in raw.splitlines() if line]
        return _entry(version, actions)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"cannot read {store.path(name)}: {brief(error)}") from error


def entries_of(store: Store, folder: str, begin: int, end: int) -> Iterator[Entry]:
    """Yield the entries of versions from `begin` to before `end`.

    Raises:
        MissingVersion: The log lacks one of them.
        StoreError: An entry cannot be read.
    """
    for version in range(begin, end):
        yield read_entry(store, folder, version)


def new_files(store: Store, folder: str, begin: int, end: int) -> set[str]:
    """Return the names of the files that brought new rows in versions from `begin` to before `end`.

    Files that were merged or redacted since are named, those that a repair or a restore took out
    are not.

    Raises:
        MissingVersion: The log lacks one of the versions.
        StoreError: An entry cannot be read.
    """
    names: set[str] = set()
    for entry in entries_of(store, folder, begin, end):
        names |= {file.name for file in entry.added if file.is_new}
        if entry.purpose not in REWRITES:
            names -= set(entry.removed)
    return names


def _entry(version: int, actions: list[dict[str, Any]]) -> Entry:
    info: dict[str, Any] = next((one["commitInfo"] for one in actions if "commitInfo" in one), {})
    added = tuple(
        Added(
            name=unquote(one["add"]["path"]),
            n_rows=json.loads(one["add"].get("stats") or "{}").get("numRecords"),
            is_new=bool(one["add"]["dataChange"]),
        )
        for one in actions
        if "add" in one
    )
    if PURPOSE in info:
        purpose = str(info[PURPOSE])
    elif any("protocol" in one for one in actions):
        purpose = "create"
    else:
        purpose = "append" if added else "columns"
    milliseconds = info.get("timestamp")
    return Entry(
        version=version,
        at=None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC),
        purpose=purpose,
        txns=tuple(one["txn"]["appId"] for one in actions if "txn" in one),
        added=added,
        removed=tuple(unquote(one["remove"]["path"]) for one in actions if "remove" in one),
    )
