"""A dataset in an object store: uploaded under a new name, and complete once its lock names it.

Objects cannot be renamed together. The data files of each publication have a folder of their own,
`data/<8 hex digits>`, and the lock, which names them, is replaced last, in one step and only if no
other publication has replaced it. A reader that follows the lock sees the old dataset or the new
one, whatever is killed when.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from ...errors import ConfigError, StoreError, shorten
from ...text.redaction import redact_url
from ...text.wording import counted
from ..files import cannot
from ..object_files import ObjectStore, Tag
from ..open_store import open_store
from .place import CARD_NAME, LOCK_NAME

# A running publication uploads a file at least this often.
_UNFINISHED_AFTER_S: Final = 86_400
_OWN: Final = re.compile(r"data/(?P<token>[0-9a-f]{8})/[^/]+")


@dataclass(frozen=True, slots=True)
class Prefix:
    """Prefix of an object store that holds a published dataset, or is to hold one.

    Attributes:
        store: Store whose root is the prefix.
    """

    store: ObjectStore

    kind: ClassVar[str] = "prefix"

    def __str__(self) -> str:
        """Return the address."""
        return self.store.uri

    @property
    def name(self) -> str:
        """Last part of the address."""
        return self.store.uri.rpartition("/")[2]

    @property
    def storage_options(self) -> dict[str, str] | None:
        """Settings of the object store for polars."""
        return self.store.storage_options

    def path(self, name: str) -> str:
        """Return the address of an object."""
        return self.store.path(name)

    def n_bytes(self, name: str) -> int | None:
        """Return the size of an object in bytes; None if it does not exist."""
        return self.store.size(name)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of an object; None if it does not exist."""
        return self.store.read(name)

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Open a copy of an object on this machine for the block."""
        with tempfile.TemporaryDirectory(prefix="assay-dataset-") as folder:
            file = Path(folder) / name.rpartition("/")[2]
            with file.open("wb") as out:
                shutil.copyfileobj(self.store.open_input(name), out)
            yield file

    def is_published(self) -> bool:
        """Return whether a dataset is there, by its lock."""
        return self.store.size(LOCK_NAME) is not None

    def is_taken(self) -> bool:
        """Return whether anything is there but the remains of killed publications."""
        return any(not _OWN.fullmatch(file.name) for file in self.store.files_below())

    def publishing(self) -> AbstractContextManager[PrefixPublication]:
        """Hold the prefix for one publication; see `_publishing`."""
        return _publishing(self)


@dataclass(slots=True, kw_only=True)
class PrefixPublication:
    """Prefix of a dataset, held for one publication.

    Attributes:
        out: Prefix to publish to.
        work: Temporary folder on this machine; it holds one data file at a time.
        data: Folder of the data files below `out`.
        recovered: Description of the removal of remains; None without any.
        before: Lock of the dataset that is replaced, and its version; None without one.
        uploaded: Data files that were uploaded, or were to be.
        may_be_named: Whether the lock may name these files.
    """

    out: Prefix
    work: Path
    data: str
    recovered: str | None
    before: tuple[bytes, Tag] | None
    uploaded: list[str] = field(default_factory=list)
    may_be_named: bool = False

    def keep(self, name: str) -> None:
        """Upload a finished data file, and remove it from this machine.

        Raises:
            StoreError: The file cannot be uploaded.
        """
        file = self.work / name
        n_bytes = file.stat().st_size
        try:
            self.uploaded.append(name)
            self.out.store.upload(name, file)
            stored = self.out.store.size(name)
        except OSError as error:
            raise cannot("write", self.out.store.path(name), error) from error
        if stored != n_bytes:
            raise StoreError(
                f"cannot write {self.out.store.path(name)}: it has {stored} bytes of {n_bytes:,};"
                " publish again"
            )
        file.unlink()

    def put(self) -> None:
        """Make the lock name the uploaded files, write the card, and remove the files before.

        Raises:
            ConfigError: Another process has published there meanwhile.
            StoreError: The store cannot be written.
        """
        store = self.out.store
        lock = (self.work / LOCK_NAME).read_bytes()
        # A request that failed may have reached the store.
        self.may_be_named = True
        try:
            self.may_be_named = store.replace(LOCK_NAME, lock, self.before and self.before[1])
        except OSError as error:
            raise cannot("write", store.path(LOCK_NAME), error) from error
        if not self.may_be_named:
            raise ConfigError(
                f"another process has published to {self.out} meanwhile; publish again with"
                " --overwrite, or to another prefix"
            )
        try:
            with store.creating(CARD_NAME) as card:
                card.write((self.work / CARD_NAME).read_bytes())
        except OSError as error:
            raise cannot("write", store.path(CARD_NAME), error) from error
        if self.before is not None:
            _remove(store, _tokens_in(self.before[0]))


def prefix_at(uri: str) -> Prefix:
    """Return the prefix at an address such as `s3://bucket/prefix`.

    Raises:
        ConfigError: The address has keys or a query, or is not that of an object store.
        StoreError: The store cannot be used.
    """
    if redact_url(uri) != uri:
        raise ConfigError(
            f"{uri} has keys or a query, and the address of a dataset is printed and recorded; give"
            " s3://bucket/prefix alone, and set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and"
            " AWS_ENDPOINT_URL"
        )
    store = open_store(uri)
    if not isinstance(store, ObjectStore):
        raise ConfigError(f"{shorten(uri)} is not the address of an object store")
    return Prefix(store)


@contextlib.contextmanager
def _publishing(out: Prefix) -> Iterator[PrefixPublication]:
    """Prepare a publication to a prefix, and remove what killed ones left a day ago.

    Args:
        out: Prefix to publish to.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        before = out.store.read_tagged(LOCK_NAME)
        recovered = _remove_unfinished(out.store, _tokens_in(before[0]) if before else set())
    except OSError as error:
        raise cannot("read", out, error) from error
    with tempfile.TemporaryDirectory(prefix="assay-publish-") as folder:
        place = PrefixPublication(
            out=out,
            work=Path(folder) / "dataset",
            data=f"data/{secrets.token_hex(4)}",
            recovered=recovered,
            before=before,
        )
        try:
            yield place
        finally:
            if not place.may_be_named:
                for name in place.uploaded:
                    with contextlib.suppress(OSError):
                        out.store.delete(name)


def _tokens_in(lock: bytes) -> set[str]:
    """Return the folders of data files that a lock names."""
    return set(re.findall(r'"data/([0-9a-f]{8})/', lock.decode(errors="replace")))


def _remove_unfinished(store: ObjectStore, named: set[str]) -> str | None:
    """Remove data files that no lock names and that no running publication can have written."""
    newest: dict[str, float] = {}
    for file in store.files_below("data"):
        if (own := _OWN.fullmatch(file.name)) and own["token"] not in named:
            token = own["token"]
            newest[token] = max(newest.get(token, 0), file.modified_s)
    old = {token for token, at_s in newest.items() if at_s < time.time() - _UNFINISHED_AFTER_S}
    _remove(store, old)
    return f"removed {counted(len(old), 'unfinished copy', 'unfinished copies')}" if old else None


def _remove(store: ObjectStore, tokens: set[str]) -> None:
    for token in sorted(tokens):
        for file in store.files_below(f"data/{token}"):
            store.delete(file.name)
