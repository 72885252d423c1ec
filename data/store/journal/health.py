"""State of a journal, and what can be saved of a damaged one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...errors import StoreError, brief
from ..files import Store
from .connect import create_at, in_words, locked, reading, sync_names, transaction
from .place import journal_path

_SUFFIXES: Final = ("", "-wal", "-shm")
_REPAIRED: Final = "repaired-"
_PENDING: Final = "answer_id, image_id, reviewer, recorded_s, answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHealth:
    """State of a journal.

    Attributes:
        n_pending: Number of answers that are not in the table yet; 0 if unknown.
        problem: Description of the damage; None without one.
    """

    n_pending: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What was saved of a damaged journal.

    Attributes:
        n_answers: Number of waiting answers in the new journal.
        is_complete: Whether all waiting answers could be read.
        folder: Folder of the damaged files.
    """

    n_answers: int
    is_complete: bool
    folder: str


def journal_health(store: Store, *, deep: bool = False) -> JournalHealth:
    """Return the state of the journal of a lake; a lake without one is whole.

    Args:
        store: Store of the lake.
        deep: Whether to compare the indexes with their tables too.

    Raises:
        StoreError: The journal is held by another process, or of a newer version.
    """
    path = journal_path(store)
    if _is_repair_unfinished(path):
        return JournalHealth(problem="is missing, since a repair was interrupted")
    try:
        with reading(store) as connection:
            if connection is None:
                return JournalHealth()
            check = "integrity_check" if deep else "quick_check"
            [(said,), *_] = connection.execute(f"PRAGMA {check}(1)").fetchall()
            n_pending = connection.execute("SELECT count(*) FROM pending").fetchone()[0]
            for (answer,) in connection.execute("SELECT answer FROM pending"):
                json.loads(answer)
    except (StoreError, ValueError) as error:
        cause = error.__cause__
        if isinstance(error, StoreError) and not _is_damage(cause):
            raise
        return JournalHealth(problem=f"cannot be read: {brief(cause or error)}")
    if said != "ok":
        return JournalHealth(n_pending=n_pending, problem=f"is damaged: {said}")
    return JournalHealth(n_pending=n_pending)


def save_journal(store: Store, folder: Path) -> Saved:
    """Replace a damaged journal by a new one with all answers that can be read.

    Nothing may write answers meanwhile. The damaged files are moved; a repair that was killed is
    completed by the next one.

    Args:
        store: Store of the lake.
        folder: Folder for the damaged files; created here.

    Raises:
        StoreError: A file cannot be written.
    """
    path = journal_path(store)
    repaired = path.with_name(f"{_REPAIRED}{path.name}")
    with in_words("repair", path), locked(path, "fold"):
        if _is_repair_unfinished(path):
            repaired.replace(path)
            return Saved(n_answers=_n_pending(path), is_complete=True, folder=str(folder))
        pending, recorded, is_complete = _readable(path)
        for suffix in _SUFFIXES:
            path.with_name(f"{repaired.name}{suffix}").unlink(missing_ok=True)
        connection = create_at(repaired)
        try:
            with transaction(connection):
                connection.executemany("INSERT OR IGNORE INTO recorded VALUES (?, ?)", recorded)
                connection.executemany(
                    "INSERT OR IGNORE INTO pending"
                    " (answer_id, image_id, reviewer, recorded_s, answer) VALUES (?, ?, ?, ?, ?)",
                    pending,
                )
        finally:
            connection.close()
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in _SUFFIXES:
            part = path.with_name(f"{path.name}{suffix}")
            with contextlib.suppress(FileNotFoundError):
                part.replace(folder / part.name)
        repaired.replace(path)
        sync_names(store, path)
    return Saved(n_answers=len(pending), is_complete=is_complete, folder=str(folder))


def _is_repair_unfinished(path: Path) -> bool:
    return not path.exists() and path.with_name(f"{_REPAIRED}{path.name}").exists()


def _is_damage(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.DatabaseError) and code in {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,  # a table is missing
        sqlite3.SQLITE_IOERR,  # a file that was cut off
    }


def _n_pending(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM pending").fetchone()[0])


def _readable(path: Path) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], bool]:
    """Return the rows of `pending` and `recorded` that can be read, and whether all could be."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        pending = list(_rows(connection, "pending", _PENDING, "seq"))
        recorded = list(_rows(connection, "recorded", "answer_id, digest", "answer_id"))
        try:
            wanted = connection.execute("SELECT count(*) FROM pending").fetchone()[0]
        except sqlite3.Error:
            wanted = -1
    whole = [row for row in pending if _is_answer(row)]
    return whole, recorded, len(whole) == wanted


def _rows(
    connection: sqlite3.Connection, table: str, columns: str, key: str
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table from both ends up to the damage, each once."""
    seen: set[Any] = set()
    for direction in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.Error):
            for row in connection.execute(
                f"SELECT {columns} FROM {table} ORDER BY {key} {direction}"  # noqa: S608 - constants
            ):
                if row[0] in seen and direction == "DESC":
                    break
                seen.add(row[0])
                yield row


def _is_answer(row: tuple[Any, ...]) -> bool:
    try:
        answer = json.loads(row[-1])
    except (TypeError, ValueError):
        return False
    return isinstance(answer, dict) and answer.get("answer_id") == row[0]
