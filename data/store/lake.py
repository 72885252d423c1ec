"""The lake: a folder or object-store prefix with all data of assay.

`shards/` has image bytes (see `shards`), `tables/` the Delta tables (see `tables`), and
`assay-lake.json` marks the lake and its format. Data become visible by a commit to a table. Shards
are written before the commit: they may be left over, and are never missing.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import polars as pl
import pyarrow as pa
from filelock import FileLock, Timeout

from ..errors import StoreError, brief
from ..schema import Row
from ..text.wording import counted
from . import shards
from .erasure.tombstones import DERIVED, Tombstones
from .files import TMP_PREFIX, Store, cannot, write_whole
from .known_values import KnownValues
from .lake_mark import MARKER
from .local_files import LocalStore
from .lookup import rows_of
from .open_store import open_store
from .shards import ShardAhead, ShardImage, ShardPlace
from .tables import Tables
from .upkeep.named_shards import named_shards

FORMAT_VERSION: Final = 1
LOCK_TIMEOUT_S: Final = 900.0


class Lake:
    """A folder, or a prefix such as `s3://bucket/prefix`, with image shards and tables.

    Cheap to create and to pickle (the address only). Thread-safe.

    Args:
        uri: Address of the lake; a relative folder is made absolute.
        create: Whether a missing lake is created. A folder with files that is not a lake is never
            used.

    Raises:
        StoreError: There is no lake and `create` is False, the folder has other files, the lake
            has a newer format, or the store cannot be reached.
    """

    def __init__(self, uri: str | Path, *, create: bool = True) -> None:
        self._store: Store = open_store(uri)
        self.uri: str = self._store.uri
        self._tables = Tables(self._store)
        self._known: dict[str, KnownValues] = {}
        self._tombstones = Tombstones(self._tables)
        try:
            self._open(create=create)
        except OSError as error:
            raise cannot("use", self.uri, error) from error

    def __repr__(self) -> str:
        return f"Lake({self.uri!r})"

    def __reduce__(self) -> tuple[type[Lake], tuple[str]]:
        return type(self), (self.uri,)

    @property
    def store(self) -> Store:
        """Store of the lake's files."""
        return self._store

    @property
    def tables(self) -> Tables:
        """Tables of the lake."""
        return self._tables

    @property
    def tombstones(self) -> Tombstones:
        """Images that were forgotten."""
        return self._tombstones

    def path(self, *parts: str) -> str:
        """Return the address of a file in the lake: an absolute path or a URI such as `s3://`."""
        return self._store.path("/".join(parts)) if parts else self.uri

    def scan(self, table: str, version: int | None = None) -> pl.LazyFrame:
        """Return the rows of a table, at the latest or a given version; see `Tables.scan`."""
        return self._tables.scan(table, version)

    def n_rows(self, table: str) -> int:
        """Return the number of rows of a table at its latest version."""
        return self._tables.n_rows(table)

    def rows_of(
        self,
        table: str,
        values: pl.Series | Sequence[str],
        *,
        column: str = "image_id",
        version: int | None = None,
    ) -> pl.LazyFrame:
        """Return the rows of a table about some images, or with other values of a column.

        Only what may hold them is read; see `lookup`.

        Args:
            table: Name of the table.
            values: Values to look for; nulls match nothing.
            column: Name of a text column.
            version: Version of the table; None for the latest.

        Raises:
            MissingVersion: The version does not exist, or its log was removed.
            StoreError: There is no such table, or it cannot be read.
        """
        return rows_of(self._tables, table, values, column=column, version=version)

    def has_rows_of(
        self, table: str, image_ids: Sequence[str], version: int | None = None
    ) -> set[str]:
        """Return those of some images that a table has rows about; see `known_values`.

        Args:
            table: Name of the table.
            image_ids: Ids of the images.
            version: Version of the table; None for the latest.

        Raises:
            StoreError: There is no such table, or it cannot be read.
        """
        known = KnownValues(self._tables, table, "image_id")
        return self._known.setdefault(table, known).among(image_ids, version)

    def added(self, table: str, since: int | None, version: int | None) -> pl.LazyFrame:
        """Return the rows added to a table between two versions; see `Tables.added`."""
        return self._tables.added(table, since, version)

    def append(
        self,
        table: str,
        rows: Sequence[Row] | pa.Table | pl.DataFrame,
        *,
        txn: str,
        after: int | None = None,
    ) -> bool:
        """Commit rows under a transaction id, at most once; see `Tables.append`.

        Rows computed from the pixels of forgotten images are left out.
        """
        if table in DERIVED:
            rows = self._tombstones.without_forgotten(rows)
        return self._tables.append(table, rows, txn=txn, after=after)

    def version(self, table: str) -> int | None:
        """Return the latest version of a table; None if nothing was written to it."""
        return self._tables.version(table)

    def image(self, image_id: str) -> bytes:
        """Return the encoded bytes of one image, verified by its id.

        Reads one column of the `images` table and one row group of one shard.

        Raises:
            StoreError: The lake has no such image, it was forgotten, or its bytes are missing or
                changed.
        """
        for _, raw in self.images([image_id]):
            return raw
        raise StoreError(f"image {image_id} of {self.uri} was forgotten, so it has no bytes")

    def images(
        self, image_ids: Sequence[str], *, version: int | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Yield ids and bytes of images, each once, in the order of storage.

        One row group (8 MiB or one larger image) is in memory at a time. Forgotten images are left
        out.

        Args:
            image_ids: Ids of the images, in any order.
            version: Version of `images` that names their places; None for the latest.

        Raises:
            StoreError: An image is unknown (raised by the call itself), or its bytes are missing or
                changed.
        """
        places = (
            self.rows_of("images", image_ids, version=version)
            .select("image_id", "shard", "row_group", "row")
            .unique("image_id", keep="any")
            .sort("shard", "row_group", "row")
            .collect()
        )
        missing = set(image_ids).difference(places["image_id"])
        if missing:
            missing -= self._tombstones.ids()
        if missing:
            raise StoreError(
                f"{self.uri} has no image {min(missing)} ({len(missing)} of"
                f" {counted(len(set(image_ids)), 'id is', 'ids are')} unknown); the"
                " images table lists its images"
            )
        return shards.read_images(
            self._store,
            (ShardPlace(**row) for row in places.iter_rows(named=True)),
            is_forgotten=lambda image_id: image_id in self._tombstones.ids(),
        )

    def shard_ahead(self) -> ShardAhead:
        """Begin a shard that is written while its images arrive; see `write_shard`."""
        version = self.version("images")

        def has_any(image_ids: Sequence[str]) -> bool:
            return version is not None and bool(self.has_rows_of("images", image_ids, version))

        return ShardAhead(self._store, has_any)

    def write_shard(
        self, images: Sequence[ShardImage], ahead: ShardAhead | None = None
    ) -> list[ShardPlace]:
        """Write image bytes to one or more shards; they become visible by rows of `images`.

        Args:
            images: Images to store.
            ahead: Shard that may hold just these images already.

        Returns:
            Places of the images, in the order given.

        Raises:
            StoreError: A shard cannot be written.
        """
        written = None if ahead is None else ahead.finish([image.image_id for image in images])
        return written or shards.write_shards(self._store, images)

    def write(self, name: str, raw: bytes) -> str:
        """Write a file of the lake atomically and return its address.

        Args:
            name: Path below the lake, such as "reports/x.html"; an existing file is replaced.
            raw: Content of the file.

        Raises:
            StoreError: The file cannot be written.
        """
        return write_whole(self._store, name, raw)

    def sweep(self, *, older_than_s: float) -> list[str]:
        """Remove unfinished files, and shards without a row in `images`, of a minimum age.

        Args:
            older_than_s: Minimum age in seconds. It must exceed the time between the write of a
                shard and its commit; one hour is safe.

        Returns:
            Names of the removed files, sorted.

        Raises:
            StoreError: The lock of a local lake, see `writing`, is not free within 15 minutes.
        """
        with self.writing():
            before_s = time.time() - older_than_s
            # Listed before the table is read: files of later commits are younger than the limit.
            files = self._store.files(shards.FOLDER) + self._store.files()
            named = named_shards(self._store, self._tables)
            removed = []
            for file in files:
                name = PurePosixPath(file.name)
                unfinished = name.name.startswith(TMP_PREFIX)
                shard = name.parent.name == shards.FOLDER and name.suffix == ".parquet"
                if file.modified_s <= before_s and (
                    unfinished or (shard and file.name not in named)
                ):
                    self._store.delete(file.name)
                    removed.append(file.name)
        return sorted(removed)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lake's lock for ingesting writers while the block runs.

        In a local lake it is a file lock between processes and threads, re-entrant in one thread,
        and released by the system when a process dies. Object stores have no lock. There, and on
        network folders without working locks, `append(after=...)` refuses the second of two
        writers, which then computes its rows again.

        Raises:
            StoreError: Another process has held the lock for 15 minutes, or the lock file cannot
                be written.
        """
        if not isinstance(self._store, LocalStore):
            yield
            return
        lock = FileLock(self._store.path(".lock"), timeout=LOCK_TIMEOUT_S, is_singleton=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise StoreError(
                f"another process has been writing to {self.uri} for {LOCK_TIMEOUT_S:.0f} s;"
                " wait for it or stop it"
            ) from error
        except OSError as error:
            raise cannot("write to", self.path(".lock"), error) from error
        try:
            yield
        finally:
            lock.release()

    def _open(self, *, create: bool) -> None:
        marker = self._store.read(MARKER)
        if marker is not None:
            self._check_format(marker)
            return
        if isinstance(self._store, LocalStore):
            self._check_free(self._store.root)
        elif any(not _is_ours(file.name) for file in self._store.files()):
            raise StoreError(f"{self.uri} has files and is not a lake; choose an empty prefix")
        if not create:
            raise StoreError(f"there is no lake at {self.uri}; `assay ingest` creates one")
        made = json.dumps({"format": FORMAT_VERSION, "made_by": "assay"}).encode() + b"\n"
        if not self._store.create(MARKER, made):
            # Another writer, possibly of another version, has just created it.
            self._check_format(self._store.read(MARKER) or b"")

    def _check_free(self, root: Path) -> None:
        if root.exists() and not root.is_dir():
            raise StoreError(f"{root} is a file; a lake needs a folder")
        if root.is_dir() and any(not _is_ours(entry.name) for entry in root.iterdir()):
            if all((root / folder).is_dir() for folder in ("tables", shards.FOLDER)):
                raise StoreError(
                    f"{root} has lost its {MARKER}; restore it, or write"
                    f' {{"format": {FORMAT_VERSION}}} into it'
                )
            raise StoreError(
                f"{root} is not empty and not a lake (it has no {MARKER});"
                " choose an empty or a new folder, or restore that file if this was a lake"
            )

    def _check_format(self, marker: bytes) -> None:
        try:
            version = int(json.loads(marker)["format"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self.path(MARKER)} cannot be read: {brief(error)}; restore it, or write"
                f' {{"format": {FORMAT_VERSION}}} into it'
            ) from error
        if version > FORMAT_VERSION:
            raise StoreError(
                f"{self.uri} has format {version}; this version of assay reads up to format"
                f" {FORMAT_VERSION}; upgrade assay"
            )


def _is_ours(name: str) -> bool:
    """Return whether a file may exist in a folder that becomes a lake, such as `.DS_Store`."""
    return name.startswith(TMP_PREFIX) or name in {MARKER, ".lock", ".DS_Store"}
