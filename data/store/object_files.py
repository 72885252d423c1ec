"""A lake's files in an object store (S3, Google Cloud Storage, Azure), by obstore.

obstore retries requests that were refused or got no response; requests with a response cut off in
its body are retried here. Its exceptions become an `OSError` with a one-line message.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, TypeVar

import obstore
import pyarrow as pa
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from ..errors import brief
from .cloud_options import FOR_CLIENT, allows_http, storage_options
from .files import NewFile, StoredFile
from .retry import retried

T = TypeVar("T")
Tag: TypeAlias = dict[str, str]
"""Version of an object, as the store names it."""

_STORES: Final[Mapping[str, Callable[..., Any]]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
# Part of a shard may take long on a slow connection; an unreachable store fails within a minute.
# A wait is drawn between 0.1 s and `base` times the one before: with 2 they hardly grow, and a
# server that is away for two seconds outlasts them.
_REQUEST_S: Final = 300
_RETRIES: Final = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {
        "init_backoff": timedelta(seconds=0.1),
        "max_backoff": timedelta(seconds=5),
        "base": 4,
    },
}


def make_store(scheme: str, bucket: str, prefix: str, options: Mapping[str, str]) -> Any:
    """Return obstore's store of a prefix.

    Args:
        scheme: Key of `CLOUDS`.
        bucket: Name of the bucket or container.
        prefix: Prefix of all names; "" for the whole bucket.
        options: Settings by their object_store names; see `storage_options`.

    Raises:
        OSError: The store cannot be configured.
    """
    return as_os_error(
        lambda: _STORES[scheme](
            bucket,
            prefix=prefix or None,
            config={key: value for key, value in options.items() if key not in FOR_CLIENT},
            client_options={
                "allow_http": allows_http(options),
                "timeout": timedelta(seconds=_REQUEST_S),
            },
            retry_config=_RETRIES,
        )
    )


# Parts of a large file that are in memory at a time.
_PART_BYTES: Final = 8 * 2**20
_N_PARTS: Final = 4


class ObjectStore:
    """Store in a prefix of a bucket or container.

    Args:
        scheme: Key of `CLOUDS`.
        bucket: Name of the bucket or container.
        prefix: Prefix of all names; "" for the whole bucket.
        env: Environment variables with keys and endpoints, see `storage_options`.

    Raises:
        OSError: The store cannot be configured.
    """

    def __init__(self, scheme: str, bucket: str, prefix: str, env: Mapping[str, str]) -> None:
        self.uri = f"{scheme}://{bucket}/{prefix}" if prefix else f"{scheme}://{bucket}"
        options = storage_options(scheme, env)
        self.storage_options: dict[str, str] | None = options
        self._store = make_store(scheme, bucket, prefix, options)

    def path(self, name: str) -> str:
        """Return the full address of a name."""
        return f"{self.uri}/{name}"

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None if it does not exist."""
        try:
            return self._done(lambda: obstore.get(self._store, name).bytes().to_bytes())
        except FileNotFoundError:
            return None

    def read_tagged(self, name: str) -> tuple[bytes, Tag] | None:
        """Return the bytes of a file and its version; None if it does not exist."""

        def whole() -> tuple[bytes, Tag]:
            found = obstore.get(self._store, name)
            names = {"e_tag": found.meta["e_tag"], "version": found.meta["version"]}
            tag = {key: value for key, value in names.items() if value is not None}
            return found.bytes().to_bytes(), tag

        try:
            return self._done(whole)
        except FileNotFoundError:
            return None

    def replace(self, name: str, raw: bytes, tag: Tag | None) -> bool:
        """Write a small file in place of one version; return False if another one is there.

        Args:
            name: Name of the file.
            raw: New content.
            tag: Version to replace, from `read_tagged`; None for a name that does not exist.
        """
        mode: Any = "create" if tag is None else tag
        try:
            self._done(lambda: obstore.put(self._store, name, raw, mode=mode))
        except FileExistsError:
            # After a lost response, a repeated request finds what the first one wrote.
            return self.read(name) == raw
        return True

    def upload(self, name: str, file: Path) -> None:
        """Write a file of this machine, in parts; the name exists once all parts are there."""
        self._done(
            lambda: obstore.put(
                self._store, name, file, chunk_size=_PART_BYTES, max_concurrency=_N_PARTS
            )
        )

    def open_input(self, name: str) -> pa.NativeFile:
        """Open a file for random reads by pyarrow.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        n_bytes = self._done(lambda: int(obstore.head(self._store, name)["size"]))
        return pa.PythonFile(RangeFile(lambda start, end: self._range(name, start, end), n_bytes))

    def create(self, name: str, raw: bytes) -> bool:
        """Write a small file and return True; return False if the name exists."""
        try:
            self._done(lambda: obstore.put(self._store, name, raw, mode="create"))
        except FileExistsError:
            return False
        return True

    @contextlib.contextmanager
    def creating(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file that gets its name when the block succeeds, and is discarded otherwise."""
        folder, _, last = name.rpartition("/")
        with self.creating_in(folder) as new:
            yield new.file
            new.name = last

    @contextlib.contextmanager
    def creating_in(self, folder: str) -> Iterator[NewFile]:
        """Open a file of a folder that gets the name that the block has set, if it succeeds."""
        # Buffered in memory, since uploaded parts would have to be removed after a failure.
        whole = io.BytesIO()
        new = NewFile(whole)
        yield new
        if new.name is not None:
            name = f"{folder}/{new.name}" if folder else new.name
            self._done(lambda: obstore.put(self._store, name, whole.getbuffer()))

    def files(self, folder: str = "") -> list[StoredFile]:
        """Return the files directly in a folder, with unfinished ones; [] for a missing folder."""
        listed = self._done(
            lambda: obstore.list_with_delimiter(self._store, prefix=folder or None)["objects"]
        )
        return _stored(listed)

    def files_below(self, folder: str = "") -> list[StoredFile]:
        """Return the files in a folder and in those below it; [] for a missing folder."""
        return _stored(
            self._done(
                lambda: [
                    entry
                    for part in obstore.list(self._store, prefix=folder or None)
                    for entry in part
                ]
            )
        )

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if it does not exist."""
        try:
            return self._done(lambda: int(obstore.head(self._store, name)["size"]))
        except FileNotFoundError:
            return None

    def sync(self, names: Iterable[str]) -> None:
        """Return at once: an acknowledged object is durable."""

    def move(self, name: str, to: str) -> None:
        """Rename a file or folder; a missing one is no error."""
        inside = self._done(
            lambda: [entry for part in obstore.list(self._store, prefix=name) for entry in part]
        )
        for path in (name, *(str(entry["path"]) for entry in inside)):
            target = f"{to}{path.removeprefix(name)}"
            with contextlib.suppress(FileNotFoundError):
                self._done(functools.partial(obstore.rename, self._store, path, target))

    def delete(self, name: str) -> None:
        """Remove a file; a missing one is no error."""
        with contextlib.suppress(FileNotFoundError):
            self._done(lambda: obstore.delete(self._store, name))

    def _range(self, name: str, start: int, end: int) -> bytes:
        return self._done(
            lambda: obstore.get_range(self._store, name, start=start, end=end).to_bytes()
        )

    def _done(self, work: Callable[[], T]) -> T:
        return as_os_error(lambda: retried(work))


def _stored(listed: Iterable[Any]) -> list[StoredFile]:
    files = [
        StoredFile(
            name=str(entry["path"]),
            modified_s=entry["last_modified"].timestamp(),
            n_bytes=int(entry["size"]),
        )
        for entry in listed
    ]
    return sorted(files, key=lambda file: file.name)


class RangeFile(io.RawIOBase):
    """An object as a file with random reads, one request per read.

    Args:
        read_range: Function from the first byte and the one after the last to the bytes.
        n_bytes: Size of the object.
    """

    def __init__(self, read_range: Callable[[int, int], bytes], n_bytes: int) -> None:
        super().__init__()
        self._read_range = read_range
        self._n_bytes = n_bytes
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset and return the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._n_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, n_bytes: int | None = -1) -> bytes:
        """Return the next bytes, by one request; fewer only at the end."""
        rest = max(0, self._n_bytes - self._at)
        wanted = rest if n_bytes is None or n_bytes < 0 else min(n_bytes, rest)
        if not wanted:
            return b""
        raw = self._read_range(self._at, self._at + wanted)
        self._at += len(raw)
        return raw

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer by one request; return the number of bytes, fewer only at the end."""
        raw = self.read(len(buffer))
        buffer[: len(raw)] = raw
        return len(raw)


_MISSING: Final = re.compile(r"NoSuchBucket|ContainerNotFound|404 Not Found")
_FORBIDDEN: Final = re.compile(r"403 Forbidden|AccessDenied|401 Unauthorized")


def as_os_error(work: Callable[[], T]) -> T:
    """Return the result of `work`; convert obstore's exceptions to `OSError`, without secrets."""
    try:
        return work()
    except FileNotFoundError as error:
        raise FileNotFoundError(brief(error)) from error
    except (AlreadyExistsError, PreconditionError) as error:
        raise FileExistsError(brief(error)) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise PermissionError(brief(error)) from error
    except BaseError as error:
        text = str(error)
        if _MISSING.search(text):
            raise FileNotFoundError(brief(error)) from error
        kind = PermissionError if _FORBIDDEN.search(text) else OSError
        raise kind(brief(error)) from error
