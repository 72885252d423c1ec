"""Protocol of a lake's file store: a local folder or an object store.

Both write files atomically; see `local_files` and `object_files`.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Final, Protocol

import pyarrow as pa

from ..errors import StoreError, brief

TMP_PREFIX = ".tmp-"

# The end of errors of Rust libraries, which have no errno of their own.
_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")

# Of obstore and of deltalake alike.
_FORBIDDEN: Final = re.compile(r"lacked the necessary privileges|403 Forbidden|AccessDenied")
_NO_ANSWER: Final = "error sending request"

_ADVICE: Final = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT),
        "make room there and run the same command again; what was committed is kept",
    ),
    errno.EROFS: "mount it for writing, or use another folder",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        "give this user permission to read and write there, or use another folder",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file of a store.

    Attributes:
        name: Name below the store's root.
        modified_s: Time of the last write, in Unix seconds.
        n_bytes: Size in bytes.
    """

    name: str
    modified_s: float
    n_bytes: int


@dataclass(slots=True)
class NewFile:
    """A file that is being written.

    Attributes:
        file: Open file.
        name: Name in its folder, set when the file is complete; a file without one is discarded.
    """

    file: IO[bytes]
    name: str | None = None


class Store(Protocol):
    """Named files below one root; names use `/` as separator and never start with it."""

    uri: str
    storage_options: dict[str, str] | None
    """Settings of an object store for deltalake and polars; None for a local folder."""

    def path(self, name: str) -> str:
        """Return the full address of a name."""

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None if it does not exist."""

    def open_input(self, name: str) -> pa.NativeFile:
        """Open a file for random reads by pyarrow.

        Raises:
            FileNotFoundError: The file does not exist.
        """

    def create(self, name: str, raw: bytes) -> bool:
        """Write a small file and return True; return False if the name exists."""
        ...

    def creating(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file that gets its name when the block succeeds, and is discarded otherwise."""

    def creating_in(self, folder: str) -> contextlib.AbstractContextManager[NewFile]:
        """Open a file of a folder that gets the name that the block has set, if it succeeds."""

    def files(self, folder: str = "") -> list[StoredFile]:
        """Return the files directly in a folder, with unfinished ones; [] for a missing folder."""

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if it does not exist."""

    def sync(self, names: Iterable[str]) -> None:
        """Make files written by other libraries, and their names, durable."""

    def move(self, name: str, to: str) -> None:
        """Rename a file or folder; a missing one is no error."""

    def delete(self, name: str) -> None:
        """Remove a file; a missing one is no error."""


def write_whole(store: Store, name: str, raw: bytes) -> str:
    """Write a file atomically and return its address.

    Raises:
        StoreError: The file cannot be written.
    """
    try:
        with store.creating(name) as file:
            file.write(raw)
    except OSError as error:
        raise cannot("write", store.path(name), error) from error
    return store.path(name)


def cannot(act: str, address: object, error: BaseException) -> StoreError:
    """Return the error for a failed write, with what the user can do about it.

    Args:
        act: Verb for what failed, such as "append to".
        address: File, table or folder.
        error: Error of the system or of a library.
    """
    text = brief(error)
    number = getattr(error, "errno", None)
    if number is not None:
        text = getattr(error, "strerror", None) or text  # without the name of a temporary file
    elif found := _OS_ERROR.search(str(error)):
        number = int(found[1])
    next_ = f"; {_ADVICE[number]}" if number in _ADVICE else ""
    if _FORBIDDEN.search(str(error)):
        next_ = "; give these credentials permission to read and write there, or use others"
    elif _NO_ANSWER in str(error):
        next_ = (
            "; check that the store runs, and the variable that names it (AWS_ENDPOINT_URL, ...)"
        )
    return StoreError(f"cannot {act} {address}: {text}{next_}")
