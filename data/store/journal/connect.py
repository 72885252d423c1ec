"""Connections to a journal: durable commits, several processes, and errors in words.

The file is in SQLite's WAL mode with `synchronous=FULL`: a commit returns when its rows are on
disk, and readers do not wait for writers. Answers wait in `pending` until they are in a Delta
table. `recorded` keeps the id and a digest of every answer, so that one that is sent twice counts
once. `leases` has the images that are before a reviewer, `served` how many each has been given.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ...errors import StoreError, brief
from ..files import Store, cannot
from ..local_files import LocalStore
from .place import journal_path

VERSION: Final = 2
TIMEOUT_S: Final = 30.0
_LOCK: Final = ".{}.lock"

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS pending (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, answer_id TEXT NOT NULL UNIQUE,
        image_id TEXT NOT NULL, reviewer TEXT NOT NULL, recorded_s REAL NOT NULL,
        answer TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS pending_images ON pending (image_id)",
    """CREATE TABLE IF NOT EXISTS recorded (
        answer_id BLOB PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID""",
    # Leases last minutes, so that those of another version are dropped.
    "DROP TABLE IF EXISTS leases",
    """CREATE TABLE leases (
        image_id TEXT PRIMARY KEY, reviewer TEXT NOT NULL, kind TEXT NOT NULL,
        until_s REAL NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX leases_until ON leases (until_s)",
    """CREATE TABLE IF NOT EXISTS served (
        reviewer TEXT PRIMARY KEY, n_images INTEGER NOT NULL) WITHOUT ROWID""",
)


def connect(store: Store) -> sqlite3.Connection:
    """Open the journal of a lake for writing, and create it where it is missing.

    The connection commits explicitly and may be used by several threads in turn.

    Args:
        store: Store of the lake.

    Raises:
        StoreError: The journal cannot be created or opened, is damaged, or is of a newer version.
    """
    path = journal_path(store)
    with in_words("open", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _open(path)
        try:
            if _version(connection, path) < VERSION:
                _create(connection, path)
                sync_names(store, path)
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
    return connection


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False)


@contextlib.contextmanager
def reading(store: Store) -> Iterator[sqlite3.Connection | None]:
    """Open the journal of a lake for reading while the block runs; None without a journal.

    Works in a lake that cannot be written: SQLite needs files of its own beside a journal, so that
    there a copy is read.

    Raises:
        StoreError: The journal cannot be read, is damaged, or is of a newer version.
    """
    path = journal_path(store)
    if not path.exists():
        yield None
        return
    with in_words("read", path), contextlib.ExitStack() as stack:
        yield _opened(path, stack)


def _opened(path: Path, stack: contextlib.ExitStack) -> sqlite3.Connection | None:
    if not (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-journal-")))
        for name in (path.name, f"{path.name}-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(name), folder / name)
        path = folder / path.name
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=TIMEOUT_S, isolation_level=None)
    stack.callback(connection.close)
    # A file without a version is of a process that was killed while it made the journal.
    return connection if _version(connection, path) else None


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise StoreError(
            f"{path} has version {version}; this version of assay reads up to {VERSION};"
            " upgrade assay"
        )
    return version


def _create(connection: sqlite3.Connection, path: Path) -> None:
    # SQLite does not wait for another process that changes the mode, so they take turns.
    with locked(path, "create"):
        if _version(connection, path) == VERSION:
            return
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        with transaction(connection):
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")


def create_at(path: Path) -> sqlite3.Connection:
    """Create an empty journal at a path, and return the connection to it.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    connection = _open(path)
    try:
        _create(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def sync_names(store: Store, path: Path) -> None:
    """Make the names of a new journal and of its folder durable.

    No descriptor of the journal is opened for it: the system drops all locks of a process on a
    file when the process closes any descriptor of it. Another process would then take itself for
    the last user of the journal, and remove the log that this one goes on writing to.
    """
    root = store.root if isinstance(store, LocalStore) else path.parents[2]
    beside = path.with_name(_LOCK.format("create"))
    LocalStore(root).sync([beside.relative_to(root).as_posix()])


@contextlib.contextmanager
def locked(path: Path, name: str, *, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """Hold a lock between processes beside the journal while the block runs.

    Args:
        path: Path of the journal.
        name: Name of the lock.
        timeout_s: Longest wait in seconds.

    Raises:
        StoreError: Another process has held the lock for this time.
    """
    lock = FileLock(path.with_name(_LOCK.format(name)), timeout=timeout_s, is_singleton=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"another process has been working on {path} for {timeout_s:.0f} s;"
            " wait for it or stop it"
        ) from error
    except OSError as error:
        raise cannot("write to", path.parent, error) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block writes, or nothing of it if it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def in_words(act: str, path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the system into errors that say what to do.

    Args:
        act: Verb for the work of the block, such as "write to".
        path: Path of the journal.

    Raises:
        StoreError: The block raised such an error.
    """
    try:
        yield
    except OSError as error:
        raise cannot(act, path, error) from error
    except sqlite3.Error as error:
        raise _worded(act, path, error) from error


def _worded(act: str, path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return cannot(act, path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return cannot(act, path, OSError(errno.EACCES, brief(error)))
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreError(
            f"cannot {act} {path}: another process has held it for {TIMEOUT_S:.0f} s;"
            " wait for it or stop it, and try again"
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreError(
            f"cannot {act} {path}: it is damaged ({brief(error)}); `assay lake repair` saves what"
            " can be read, and answers in the table `reviews` are not affected"
        )
    return StoreError(f"cannot {act} {path}: {brief(error)}; check the disk, and try again")
