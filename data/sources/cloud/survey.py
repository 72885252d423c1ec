"""First pass over a prefix: which of its folders are lakes, and which have tables.

What a table of labels or the mark of a lake says of a folder comes after some of its objects in the
order of keys. The names of such folders are all that is kept, so that the second pass, which gives
the items, needs bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ...store.lake_mark import MARKER
from ..buckets.bucket import ObjectInfo, is_plain
from ..folders.metadata import is_metadata
from ..folders.walk import DATASET_CARDS, TABLE_FOLDERS, TABLE_SUFFIXES
from ..uris import is_hidden


@dataclass(slots=True)
class Survey:
    """What the keys below a prefix say of its folders, each named by its key with "/" at the end.

    Attributes:
        n_objects: Number of objects.
        lakes: Folders that are lakes.
        labels: Keys of tables of labels by folder.
        tables: Folders with Parquet files, or with folders such as `label=fake`.
    """

    n_objects: int = 0
    lakes: set[str] = field(default_factory=set)
    labels: dict[str, list[str]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    def is_in_lake(self, key: str) -> bool:
        """Return whether a key lies in a lake."""
        return bool(self.lakes) and any(folder in self.lakes for folder in folders_above(key))

    def is_of_table(self, key: str) -> bool:
        """Return whether an object lies beside the data of a table or a data set: a log, a card."""
        if not self.tables:
            return False
        *folders, name = key.split("/")
        for depth, folder in enumerate(folders):
            if folder in TABLE_FOLDERS and _joined(folders[:depth]) in self.tables:
                return True
        own = _joined(folders)
        is_table = name.lower().endswith(TABLE_SUFFIXES)
        if name.startswith("_") and own in self.tables and not is_table:
            return True
        return name in DATASET_CARDS and f"{own}data/" in self.tables


def survey(infos: Iterable[ObjectInfo]) -> Survey:
    """Return what the keys of a listing say of its folders."""
    found = Survey()
    for info in infos:
        found.n_objects += 1
        if not is_plain(info.key):
            continue
        folder, _, name = info.key.rpartition("/")
        folder = f"{folder}/" if folder else ""
        if name == MARKER:
            found.lakes.add(folder)
        elif is_hidden([name]):
            continue
        elif name.lower().endswith(TABLE_SUFFIXES):
            found.tables.add(folder)
            above = folder.rstrip("/")
            while "=" in above.rpartition("/")[2]:
                above = above.rpartition("/")[0]
                found.tables.add(f"{above}/" if above else "")
        if is_metadata(name):
            found.labels.setdefault(folder, []).append(info.key)
    return found


def folders_above(key: str) -> list[str]:
    """Return the folders that a key lies in, the outermost ("") first."""
    parts = key.split("/")[:-1]
    return [_joined(parts[:depth]) for depth in range(len(parts) + 1)]


def _joined(parts: list[str]) -> str:
    return "".join(f"{part}/" for part in parts)
