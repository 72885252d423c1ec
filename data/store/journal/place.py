"""Place of a lake's journal: in the lake, or for object stores in this user's home.

SQLite needs a file system. A lake in an object store has one journal per machine, whose rows other
machines see once they are in the table.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from ...cache import home_folder
from ..files import Store
from ..local_files import LocalStore

FOLDER: Final = "review"
NAME: Final = f"{FOLDER}/journal.sqlite"


def journal_path(store: Store) -> Path:
    """Return the path of the journal of a lake; the file may be missing.

    Args:
        store: Store of the lake.
    """
    if isinstance(store, LocalStore):
        return store.root / NAME
    name = hashlib.sha256(store.uri.encode()).hexdigest()[:32]
    return home_folder("lakes", name, NAME)


def is_in_lake(store: Store) -> bool:
    """Return whether the journal is a file of the lake, so that all its users share it."""
    return isinstance(store, LocalStore)
