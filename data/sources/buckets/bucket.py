"""A bucket of an object store: listing and reading, with errors as `OSError`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

NOT_PLAIN: Final = (
    'a key with an empty, "." or ".." part between slashes, or with a control character, which the'
    " client of the store cannot ask for; copy the object to another key"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class ObjectInfo(NamedTuple):
    """Entry of a listing.

    Attributes:
        key: Key in the bucket.
        n_bytes: Size in bytes.
        stamp: Text that changes if the content may have changed: version or ETag with the size,
            else size and time.
    """

    key: str
    n_bytes: int
    stamp: str


def is_plain(key: str) -> bool:
    """Return whether an object can be read by its key.

    obstore takes keys with an empty, "." or ".." part or with control characters for no paths.
    """
    parts = key.removesuffix("/").split("/")
    return not {"", ".", ".."}.intersection(parts) and not _CONTROL.search(key)


class TooManyBytesError(ValueError):
    """An object is larger than the caller accepts.

    Attributes:
        n_bytes: Size of the object.
    """

    def __init__(self, n_bytes: int) -> None:
        super().__init__(f"{n_bytes} bytes")
        self.n_bytes = n_bytes


class UnlistableKeyError(OSError):
    """A key is not plain, and the store lists no page that holds it; see `is_plain`.

    Args:
        key: Key of the object.
    """

    def __init__(self, key: str) -> None:
        super().__init__(
            f'a page of the listing has the key "{key}", and keys with an empty, "." or ".." part'
            " between slashes cannot be listed; rename or remove such objects, or name the folders"
            " beside them as sources"
        )


class Bucket(Protocol):
    """Listing and reading of a bucket; thread-safe.

    Every method raises FileNotFoundError for what does not exist, PermissionError for what is
    forbidden, and OSError for a store that does not answer after all retries. Messages have no
    secrets.
    """

    def entries(self, folder: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a folder ("" for all), page by page, in the order of keys.

        Keys that are not plain may be among them (`is_plain`); such an object cannot be read.

        Raises:
            UnlistableKeyError: There is such a key, and the store lists no page that holds it.
        """
        ...

    def head(self, key: str) -> ObjectInfo:
        """Return size and stamp of an object."""
        ...

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes of an object from `start` to before `end`."""
        ...

    def read(self, key: str, max_bytes: int, mark: str = "") -> tuple[bytes | None, ObjectInfo]:
        """Return bytes and state of an object; no bytes if its stamp is still `mark`.

        Raises:
            TooManyBytesError: The object is larger than `max_bytes`; its bytes are not read.
        """
        ...
