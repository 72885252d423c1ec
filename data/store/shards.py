"""Image bytes in Parquet files, readable by Hugging Face `datasets`, polars and DuckDB.

A shard is named by a hash of its image ids, so that writing the same images again gives the same
file. It never changes, but for the bytes of forgotten images, which become null. A written shard
becomes visible by a committed row of `images` that names it.

Row groups have at most 64 images and about 8 MiB. Reading one image reads its row group: some
milliseconds locally, and one small range request on S3. A group of 100 MB would be readable too,
and cost a hundred times the image.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from queue import SimpleQueue

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import StoreError, brief
from ..schema import SHARD
from .damage import advice
from .files import Store, cannot
from .parquet_reader import ParquetReader
from .retry import retried

FOLDER = "shards"
MAX_SHARD_BYTES = 450_000_000  # with its footer below the 500 MB that readers expect
MAX_GROUP_BYTES = 8 * 2**20
MAX_GROUP_IMAGES = 64

# Images that are handed to the thread of a shard at once, since it is woken up for each time.
_HANDED_AT_ONCE = 16

_REPAIR = "restore images with: assay lake repair --lake"

# Id, row group and row of an image in a shard.
_Cell = tuple[str, int, int]

_EXTENSIONS = {"JPEG": "jpg", "TIFF": "tif"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardImage:
    """One image to store.

    Attributes:
        image_id: SHA-256 of the encoded bytes, 64 hex digits.
        raw: Encoded bytes.
        format: Pillow's format name.
    """

    image_id: str
    raw: bytes
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlace:
    """Place of an image in the lake.

    Attributes:
        image_id: SHA-256 of the encoded bytes, 64 hex digits.
        shard: Name of the shard below the lake's root.
        row_group: Index of the row group in the shard.
        row: Index of the row in the row group.
    """

    image_id: str
    shard: str
    row_group: int
    row: int


def shard_name(image_ids: Iterable[str]) -> str:
    """Return the name of a shard of these images in this order."""
    digest = hashlib.sha256("\n".join(image_ids).encode()).hexdigest()
    return f"{FOLDER}/{digest[:32]}.parquet"


def write_shards(store: Store, images: Sequence[ShardImage]) -> list[ShardPlace]:
    """Write images to as many shards as their sizes require, and return their places.

    Each shard is written atomically. An existing shard is written again, which renews its age, so
    that `Lake.sweep` does not remove it.

    Raises:
        StoreError: The store refused the write (no space, no permission, no network).
    """
    places: list[ShardPlace] = []
    for part in _cut(images, max_bytes=MAX_SHARD_BYTES, max_images=None):
        name = shard_name(image.image_id for image in part)
        try:
            with store.creating(name) as file:
                places += _places(name, _write(file, part))
        except OSError as error:
            raise cannot("write", store.path(name), error) from error
    return places


class ShardAhead:
    """A shard that a thread writes while its images still arrive.

    Which images are to be stored is known at their commit. The shard gets its name if they are the
    images added, and is discarded otherwise, so that `write_shards` has to write them.

    Args:
        store: Store of the lake.
        has_any: Predicate that some of these ids are stored already; the shard is discarded then.
    """

    def __init__(self, store: Store, has_any: Callable[[Sequence[str]], bool]) -> None:
        self._store = store
        self._has_any = has_any
        self._ids: list[str] = []
        self._n_bytes = 0
        self._name: str | None = None
        self._cells: list[_Cell] | None = None
        self._waiting: list[ShardImage] = []
        self._images: SimpleQueue[list[ShardImage] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="assay-shard", daemon=True)
        self._thread.start()

    def add(self, image: ShardImage) -> None:
        """Append an image to the shard."""
        self._ids.append(image.image_id)
        self._n_bytes += len(image.raw)
        self._waiting.append(image)
        if len(self._waiting) == _HANDED_AT_ONCE:
            self._hand_over()

    def finish(self, image_ids: Sequence[str]) -> list[ShardPlace] | None:
        """Close the shard and return the places of its images.

        Args:
            image_ids: Ids of the images to store.

        Returns:
            Places in the order of the ids; None if the shard does not hold just these images in
            this order, could not be written, or was closed before.
        """
        if self._ids == list(image_ids) and self._n_bytes <= MAX_SHARD_BYTES:
            self._name = shard_name(image_ids)
        self.close()
        cells, self._cells = self._cells, None
        return None if cells is None or self._name is None else _places(self._name, cells)

    def close(self) -> None:
        """End the thread, and discard the shard if it has no name."""
        self._hand_over()
        self._images.put(None)
        self._thread.join()

    def _hand_over(self) -> None:
        self._images.put(self._waiting)
        self._waiting = []

    def _write(self) -> None:
        # What fails here fails again at the commit, which reports it.
        with contextlib.suppress(Exception):
            with self._store.creating_in(FOLDER) as new:
                images = itertools.chain.from_iterable(iter(self._images.get, None))
                cells = _write(new.file, images, self._refuse_known)
                new.name = self._name and PurePosixPath(self._name).name
            self._cells = cells

    def _refuse_known(self, images: Sequence[ShardImage]) -> None:
        if self._has_any([image.image_id for image in images]):
            raise _KnownImageError


class _KnownImageError(Exception):
    """An image of a shard that is written ahead is stored already."""


def read_images(
    store: Store,
    places: Iterable[ShardPlace],
    *,
    is_forgotten: Callable[[str], bool] = lambda _: False,
) -> Iterator[tuple[str, bytes]]:
    """Yield ids and bytes of the images at these places, one row group in memory at a time.

    Args:
        store: Store of the lake.
        places: Places, sorted by shard and row group so that each is read once.
        is_forgotten: Whether an image without bytes was forgotten; such an image is left out.

    Raises:
        StoreError: A shard is missing or damaged, or bytes do not match their id.
    """
    reader = _GroupReader(store)
    try:
        for place in places:
            address = store.path(place.shard)
            try:
                group = retried(functools.partial(reader.group, place.shard, place.row_group))
                raw = group.column(0)[place.row].as_py()["bytes"]
            except FileNotFoundError as error:
                raise StoreError(f"{address} is missing; {_REPAIR} {store.uri}") from error
            except (OSError, IndexError, TypeError, pa.ArrowException) as error:
                next_ = advice(store, error)
                raise StoreError(f"cannot read {address}: {brief(error)}; {next_}") from error
            if raw is None and is_forgotten(place.image_id):
                continue
            if raw is None or hashlib.sha256(raw).hexdigest() != place.image_id:
                raise StoreError(
                    f"{address} row group {place.row_group} row {place.row} does not have image"
                    f" {place.image_id}; the file was changed; {_REPAIR} {store.uri}"
                )
            yield place.image_id, raw
    finally:
        reader.close()


class _GroupReader:
    """Reader of row groups of shards, with the last one cached."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shard: str | None = None
        self._file: ParquetReader | None = None
        self._number: int | None = None
        self._group: pa.Table | None = None

    def group(self, shard: str, number: int) -> pa.Table:
        """Return the image bytes of a row group; after an error the shard is closed."""
        if shard == self._shard and number == self._number:
            return self._group
        self._number = self._group = None  # frees the last group before the next one is read
        try:
            if shard != self._shard or self._file is None:
                self.close()
                self._file = ParquetReader(self._store.open_input(shard))
                self._shard = shard
            self._group = self._file.group(number, ["image.bytes"])
        except BaseException:
            self.close()
            raise
        self._number = number
        return self._group

    def close(self) -> None:
        """Close the open shard."""
        file, self._file, self._shard = self._file, None, None
        self._number = self._group = None
        if file is not None:
            file.close()


def _write(
    file: object,
    images: Iterable[ShardImage],
    check: Callable[[Sequence[ShardImage]], None] = lambda _: None,
) -> list[_Cell]:
    """Write images to an open file in row groups; call `check` with each group first."""
    cells: list[_Cell] = []
    with shard_writer(file) as writer:
        for number, group in enumerate(
            _cut(images, max_bytes=MAX_GROUP_BYTES, max_images=MAX_GROUP_IMAGES)
        ):
            check(group)
            writer.write_batch(_batch(group), row_group_size=len(group))
            cells += [(image.image_id, number, row) for row, image in enumerate(group)]
    return cells


def _places(shard: str, cells: Iterable[_Cell]) -> list[ShardPlace]:
    return [
        ShardPlace(image_id=image_id, shard=shard, row_group=row_group, row=row)
        for image_id, row_group, row in cells
    ]


def shard_writer(file: object) -> pq.ParquetWriter:
    """Return the writer of a shard.

    Args:
        file: Open file to write to.
    """
    return pq.ParquetWriter(
        file,
        SHARD,
        # JPEG, PNG and WebP do not compress further; statistics and dictionaries of image bytes
        # would be large and useless.
        compression={"image_id": "zstd", "image.path": "zstd", "image.bytes": "none"},
        write_statistics=["image_id"],
        use_dictionary=False,
        write_page_index=True,
        use_content_defined_chunking=True,
    )


def _batch(images: Sequence[ShardImage]) -> pa.RecordBatch:
    ids = [image.image_id for image in images]
    # The suffix gives readers the format. The origin of an image is in `sightings`, since it may
    # have several.
    paths = [
        f"{image.image_id}.{_EXTENSIONS.get(image.format, image.format.lower())}"
        for image in images
    ]
    images = pa.StructArray.from_arrays(
        [pa.array([image.raw for image in images], pa.binary()), pa.array(paths, pa.string())],
        fields=list(SHARD.field("image").type),
    )
    return pa.record_batch([pa.array(ids, pa.string()), images], schema=SHARD)


def _cut(
    images: Iterable[ShardImage], *, max_bytes: int, max_images: int | None
) -> Iterator[list[ShardImage]]:
    """Yield consecutive parts within both limits; a single larger image is a part of its own."""
    part: list[ShardImage] = []
    n_bytes = 0
    for image in images:
        size = len(image.raw)
        if part and (len(part) == max_images or n_bytes + size > max_bytes):
            yield part
            part, n_bytes = [], 0
        part.append(image)
        n_bytes += size
    if part:
        yield part
