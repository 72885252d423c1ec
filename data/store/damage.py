"""Damage to tables: what a look finds at once, and which file is behind an error of a scan.

Polars and deltalake meet a damaged file with whatever they stumbled over: a panic, an error of
their decoders, or rows that are silently other than those written. So a file is looked at once
per process before it is scanned, and when a scan fails all the same, the files that were scanned
are read again to name the one that is to blame.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from ..commands import command
from ..errors import AssayError, StoreError, brief, is_panic
from .files import Store
from .local_files import LocalStore
from .retry import is_cut_off
from .table_files import problem_of

LOG: Final = "_delta_log"

# What one process reads of a lake's tables only to see whether they are intact: milliseconds.
MAX_LOOK_BYTES: Final = 16 * 2**20
MAX_LOOK_FILES: Final = 400
# Whose files are kept in mind, those of some lakes.
MAX_TABLES: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A data file as Delta's log has it: its name below the store's root, and its size."""

    name: str
    n_bytes: int
    n_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scanned:
    store: Store
    version: int
    files: tuple[Listed, ...]


_lock = threading.Lock()
_seen: set[str] = set()
_spent: dict[str, tuple[int, int]] = {}  # by lake: bytes and files
_scanned: dict[str, _Scanned] = {}


def advice(store: Store, error: BaseException | None = None) -> str:
    """Return what to do about damage of a lake, or about an error of its store."""
    if isinstance(error, PermissionError):
        return "let this user read it"
    if error is not None and _is_of_object_store(error):
        return f"run the same again when {store.uri} answers"
    return f"see what is affected with: {command('lake', 'check', lake=store.uri)}"


def damaged(store: Store, name: str, problem: str) -> StoreError:
    """Return the error that names a damaged file or table of a lake."""
    return StoreError(f"{store.path(name)} {problem}; {advice(store)}")


def listed_files(folder: str, table: DeltaTable) -> list[Listed]:
    """Return the data files that a version of a table names."""
    rows = pa.table(table.get_add_actions(flatten=True))
    sizes, counts = rows.column("size_bytes").to_pylist(), rows.column("num_records").to_pylist()
    return [
        Listed(name=f"{folder}/{path}", n_bytes=size, n_rows=n_rows)
        for path, size, n_rows in zip(rows.column("path").to_pylist(), sizes, counts, strict=True)
    ]


def has_lost_log(store: Store, folder: str) -> bool:
    """Whether a table's folder has data or entries of a log, although it is no table."""
    names = [file.name for file in store.files(folder) + store.files(f"{folder}/{LOG}")]
    return any(name.endswith((".parquet", ".json")) for name in names)


def check_log(store: Store, folder: str, version: int) -> None:
    """Look whether entries of a log have anything in them: Delta takes an empty one for none.

    The last entry is looked at each time, those before it once per process.

    Raises:
        StoreError: One is empty.
    """
    if not isinstance(store, LocalStore):  # objects are written whole
        return
    log = f"{folder}/{LOG}"
    entry = f"{log}/{version:020}.json"
    empty = [entry] if store.size(entry) == 0 else []
    with _lock:
        is_new = store.path(log) not in _seen
    if is_new:
        empty += empty_entries(store, folder)
    if empty:
        raise damaged(store, empty[0], "is empty, so a commit to this table is lost")
    with _lock:
        _seen.add(store.path(log))


def empty_entries(store: Store, folder: str) -> list[str]:
    """Return the entries of a table's log that have nothing in them."""
    entries = store.files(f"{folder}/{LOG}")
    return [file.name for file in entries if file.name.endswith(".json") and not file.n_bytes]


def check_files(store: Store, folder: str, table: DeltaTable) -> None:
    """Look at data files that this process has not looked at yet.

    On a local lake each must be there at its full size; as many as the budget allows are read
    too. Objects of a store are written whole and are not asked for one by one.

    Raises:
        StoreError: A file is missing, cut or changed.
    """
    key, version = store.path(folder), table.version()
    with _lock:
        last = _scanned.get(key)
    if last is not None and last.version == version:
        return
    files = tuple(listed_files(folder, table))
    scanned = _Scanned(store=store, version=version, files=files)
    if isinstance(store, LocalStore):
        for file in files:
            _look(store, file)
    with _lock:
        _scanned.pop(key, None)
        _scanned[key] = scanned
        if len(_scanned) > MAX_TABLES:
            del _scanned[next(iter(_scanned))]


def _look(store: LocalStore, file: Listed) -> None:
    address = store.path(file.name)
    with _lock:
        if address in _seen:
            return
        n_bytes, n_files = _spent.get(store.uri, (0, 0))
        is_read = n_files < MAX_LOOK_FILES and n_bytes + file.n_bytes <= MAX_LOOK_BYTES
        if is_read:
            _spent[store.uri] = (n_bytes + file.n_bytes, n_files + 1)
    if problem := file_problem(store, file, is_read=is_read):
        raise damaged(store, file.name, problem)
    with _lock:
        _seen.add(address)


def file_problem(store: Store, file: Listed, *, is_read: bool) -> str | None:
    """Return what is wrong with a data file, or None; read in full where asked.

    Raises:
        OSError: The store does not answer.
    """
    size = store.size(file.name)
    if size is None:
        return "is missing"
    if size != file.n_bytes:
        return f"has {size:,} of {file.n_bytes:,} bytes"
    if not is_read:
        return None
    raw = store.read(file.name)
    return "is missing" if raw is None else problem_of(file.name, raw)


@contextlib.contextmanager
def named(uri: str) -> Iterator[None]:
    """Turn what a scan of a lake's damaged table raises into a StoreError that names the file."""
    try:
        yield
    except AssayError:
        raise
    except BaseException as error:
        damage = explain(error, uri)
        if damage is None:
            raise
        raise damage from error


def explain(error: BaseException, uri: str | None = None) -> StoreError | None:
    """Return the error that names what of a lake is behind an error of a library; None if nothing.

    Reads the files that were scanned last, so it is for errors only.

    Args:
        error: What was raised.
        uri: Address of the lake that was read; None where this process reads only one.
    """
    kinds = (pl.exceptions.PolarsError, pa.ArrowException, OSError)
    if not is_panic(error) and not isinstance(error, kinds):
        return None
    with _lock:
        latest = [scan for scan in reversed(_scanned.values()) if uri in {None, scan.store.uri}]
    for scanned in latest:
        for file in scanned.files:
            try:
                problem = file_problem(scanned.store, file, is_read=True)
            except OSError as trouble:
                address, next_ = scanned.store.path(file.name), advice(scanned.store, trouble)
                return StoreError(f"cannot read {address}: {brief(trouble)}; {next_}")
            if problem is not None:
                return damaged(scanned.store, file.name, problem)
    if latest and (is_panic(error) or _is_of_object_store(error)):
        uri = latest[0].store.uri
        what_next = advice(latest[0].store, error)
        return StoreError(f"cannot read the tables of {uri}: {brief(error)}; {what_next}")
    return None


def is_out_of_reach(error: BaseException | None) -> bool:
    """Whether an error says that something could not be read now, and not that it is damaged.

    Looks at what the error was raised from, too.
    """
    while error is not None:
        if isinstance(error, PermissionError) or _is_of_object_store(error):
            return True
        error = error.__cause__
    return False


def _is_of_object_store(error: BaseException) -> bool:
    return is_cut_off(error) or "Generic S3 error" in str(error) or "AWS Error" in str(error)
