"""Detection of damaged table files: a check before a scan, and the cause of a failed scan.

On a damaged file polars and deltalake panic, raise a decoding error, or return wrong rows. So
every file is checked once per process before a scan. If a scan fails all the same, the scanned
files are read again to name the damaged one.
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
from .table_files import is_redacted, problem_of

LOG: Final = "_delta_log"

# Budget per process and lake for reading files only to check them; takes milliseconds.
MAX_LOOK_BYTES: Final = 16 * 2**20
MAX_LOOK_FILES: Final = 400
# Number of tables, over all lakes, with their scanned files remembered.
MAX_TABLES: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Data file as recorded in Delta's log.

    Attributes:
        name: Name below the store's root.
        n_bytes: Size in bytes.
        n_rows: Number of rows; None if the log has none.
    """

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
_spent: dict[str, tuple[int, int]] = {}  # bytes and files read, by lake
_scanned: dict[str, _Scanned] = {}


def advice(store: Store, error: BaseException | None = None) -> str:
    """Return what the user can do about damage of a lake or an error of its store."""
    if isinstance(error, PermissionError):
        return "give this user permission to read it"
    if error is not None and _is_of_object_store(error):
        return f"run the same command again when {store.uri} responds"
    return f"list the damage with: {command('lake', 'check', lake=store.uri)}"


def damaged(store: Store, name: str, problem: str) -> StoreError:
    """Return the error for a damaged file or table of a lake."""
    return StoreError(f"{store.path(name)} {problem}; {advice(store)}")


def listed_files(folder: str, table: DeltaTable) -> list[Listed]:
    """Return the data files of an opened version of a table."""
    # `pa.table` imports pandas where it is installed, which takes longer than the table does.
    rows = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
    sizes, counts = rows.column("size_bytes").to_pylist(), rows.column("num_records").to_pylist()
    return [
        Listed(name=f"{folder}/{path}", n_bytes=size, n_rows=n_rows)
        for path, size, n_rows in zip(rows.column("path").to_pylist(), sizes, counts, strict=True)
    ]


def has_lost_log(store: Store, folder: str) -> bool:
    """Return whether the folder of a missing table has data files or log entries."""
    names = [file.name for file in store.files(folder) + store.files(f"{folder}/{LOG}")]
    return any(name.endswith((".parquet", ".json")) for name in names)


def check_log(store: Store, folder: str, version: int) -> None:
    """Check the entries of a log for empty files, which Delta ignores.

    The last entry is checked on every call, earlier ones once per process.

    Raises:
        StoreError: An entry is empty.
    """
    if not isinstance(store, LocalStore):  # objects are written atomically
        return
    log = f"{folder}/{LOG}"
    entry = f"{log}/{version:020}.json"
    empty = [entry] if store.size(entry) == 0 else []
    with _lock:
        is_new = store.path(log) not in _seen
    if is_new:
        empty += empty_entries(store, folder)
    if empty:
        raise damaged(store, empty[0], "is empty; a commit to this table is lost")
    with _lock:
        _seen.add(store.path(log))


def empty_entries(store: Store, folder: str) -> list[str]:
    """Return the empty entries of a table's log."""
    entries = store.files(f"{folder}/{LOG}")
    return [file.name for file in entries if file.name.endswith(".json") and not file.n_bytes]


def check_files(store: Store, folder: str, table: DeltaTable) -> None:
    """Check the data files of a table that this process has not checked yet.

    In a local lake every file must exist at its full size; files are also read as far as the budget
    allows. Objects of an object store are written atomically and are not checked one by one.

    Raises:
        StoreError: A file is missing, truncated or changed.
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
    """Return the defect of a data file; None for an intact one.

    Args:
        store: Store of the lake.
        file: Data file as recorded in Delta's log.
        is_read: Whether the file is read in full.

    Raises:
        OSError: The store does not respond.
    """
    size = store.size(file.name)
    if size is None:
        return "is missing"
    if size != file.n_bytes:
        if is_redacted(store.read(file.name) or b""):
            return None
        return f"has {size:,} bytes instead of {file.n_bytes:,}"
    if not is_read:
        return None
    raw = store.read(file.name)
    return "is missing" if raw is None else problem_of(file.name, raw)


@contextlib.contextmanager
def named(uri: str) -> Iterator[None]:
    """Convert the exception of a scan of damaged tables to a StoreError that names the file.

    Args:
        uri: Address of the scanned lake.

    Raises:
        StoreError: The scan in the `with` block failed because of a damaged file.
    """
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
    """Return the StoreError for the damaged file behind a library's exception; None if none is.

    The files of recent scans are read in full.

    Args:
        error: Exception of the scan.
        uri: Address of the scanned lake; None to consider every lake of this process.
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
    """Return whether an error, or one of its causes, is about access and not about damage."""
    while error is not None:
        if isinstance(error, PermissionError) or _is_of_object_store(error):
            return True
        error = error.__cause__
    return False


def _is_of_object_store(error: BaseException) -> bool:
    return is_cut_off(error) or "Generic S3 error" in str(error) or "AWS Error" in str(error)
