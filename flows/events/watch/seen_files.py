"""Memory of a watch: files as last seen, and what has been announced, in one SQLite file.

Each step is one transaction, so a watch that was killed resumes: a file that is known
and unchanged is not announced again, and an announcement that was not sent is sent, under the same
id.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ....data.errors import StoreError
from .files_below import FileState

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS files (
    source TEXT PRIMARY KEY,
    n_bytes INTEGER NOT NULL,
    stamp TEXT NOT NULL,
    changed_s REAL NOT NULL,
    seen_s REAL NOT NULL,
    scan INTEGER NOT NULL,
    announcement INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS waiting ON files (source) WHERE announcement IS NULL;
CREATE INDEX IF NOT EXISTS announced ON files (announcement) WHERE announcement IS NOT NULL;
CREATE TABLE IF NOT EXISTS announcements (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    is_sent INTEGER NOT NULL DEFAULT 0
);
"""

# A file that has changed is as good as new; of one that has not, only the scan is written.
_NOTE: Final = """
INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, NULL)
ON CONFLICT (source) DO UPDATE SET
    n_bytes = excluded.n_bytes,
    changed_s = excluded.changed_s,
    seen_s = CASE WHEN stamp = excluded.stamp THEN seen_s ELSE excluded.seen_s END,
    announcement = CASE WHEN stamp = excluded.stamp THEN announcement END,
    stamp = excluded.stamp,
    scan = excluded.scan
"""


class Announcement(NamedTuple):
    """Files that are announced together.

    Attributes:
        number: Number of the announcement, counted from 1.
        event_id: Id of its event.
        files: Number of files.
        n_bytes: Size of the files in bytes.
    """

    number: int
    event_id: uuid.UUID
    files: int
    n_bytes: int


class SeenFiles:
    """Files of one watched prefix; see the module.

    Args:
        path: SQLite file; created if missing.

    Raises:
        StoreError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path)
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise StoreError(
                f"{path}: {error}; name another folder with --state, or remove this file to"
                " announce all files again"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def note(self, files: Iterable[FileState], *, now_s: float) -> None:
        """Record a walk; files are drawn one by one.

        Args:
            files: Files of the walk.
            now_s: Time of the walk, in Unix seconds.
        """
        scan = self._scan() + 1
        with self._db:
            self._db.executemany(_NOTE, ((*file, now_s, scan) for file in files))
            self._db.execute(f"PRAGMA user_version = {scan}")

    def forget_missing(self) -> None:
        """Forget the files that the last walk has not met; such a file is new if it comes back."""
        with self._db:
            self._db.execute("DELETE FROM files WHERE scan < ?", (self._scan(),))

    def prepare(self, *, now_s: float, settle_s: float, max_files: int) -> None:
        """Put the complete files of the last walk that are not announced into announcements.

        Args:
            now_s: Time, in Unix seconds.
            settle_s: Seconds for which a complete file has not changed, by its own times or as
                seen by the watch.
            max_files: Maximum number of files of an announcement.
        """
        while True:
            with self._db:
                number = self._db.execute(
                    "INSERT INTO announcements (event_id) VALUES (?)", (str(uuid.uuid4()),)
                ).lastrowid
                n_files = self._db.execute(
                    "UPDATE files SET announcement = :number WHERE source IN ("
                    "SELECT source FROM files WHERE announcement IS NULL AND scan = :scan"
                    " AND min(changed_s, seen_s) <= :before ORDER BY source LIMIT :most)",
                    {
                        "number": number,
                        "scan": self._scan(),
                        "before": now_s - settle_s,
                        "most": max_files,
                    },
                ).rowcount
                if n_files == 0:
                    self._db.execute("DELETE FROM announcements WHERE number = ?", (number,))
                    return

    def unsent(self) -> list[Announcement]:
        """Return the announcements that are not sent, the earliest first."""
        rows = self._db.execute(
            "SELECT number, event_id, count(source), coalesce(sum(n_bytes), 0)"
            " FROM announcements LEFT JOIN files ON announcement = number"
            " WHERE NOT is_sent GROUP BY number ORDER BY number"
        )
        return [Announcement(n, uuid.UUID(known_by), *counts) for n, known_by, *counts in rows]

    def sources_of(self, number: int) -> Iterator[str]:
        """Yield the sources of an announcement in their order."""
        rows = self._db.execute(
            "SELECT source FROM files WHERE announcement = ? ORDER BY source", (number,)
        )
        return (source for (source,) in rows)

    def mark_sent(self, number: int) -> None:
        """Record that an announcement is sent."""
        with self._db:
            self._db.execute("UPDATE announcements SET is_sent = 1 WHERE number = ?", (number,))

    def _scan(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])
