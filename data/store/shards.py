"""Image bytes in Parquet files, readable by Hugging Face `datasets`, polars and DuckDB.

A shard is named by a hash of its image ids, so that writing the same images again gives the same
file. It never changes, but for the bytes of forgotten images, which become null. A written shard
becomes visible by a committed row of `images` that names it.

Row groups have at most 64 images and about 8 MiB. Reading one image reads its row group: some
milliseconds locally, and one small range request on S3. A group of 100 MB would be readable too,
and cost a hundred times the image.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import StoreError, brief
from ..schema import SHARD
from .damage import advice
from .files import Store, cannot
from .retry import retried

FOLDER = "shards"
MAX_SHARD_BYTES = 450_000_000  # with its footer below the 500 MB that readers expect
MAX_GROUP_BYTES = 8 * 2**20
MAX_GROUP_IMAGES = 64

_REPAIR = "restore images with: assay lake repair --lake"

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
                places += _write(file, name, part)
        except OSError as error:
            raise cannot("write", store.path(name), error) from error
    return places


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
        self._file: pq.ParquetFile | None = None
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
                self._file = pq.ParquetFile(self._store.open_input(shard), pre_buffer=True)
                self._shard = shard
            self._group = self._file.read_row_group(number, columns=["image.bytes"])
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
            file.close(force=True)


def _write(file: object, name: str, images: Sequence[ShardImage]) -> list[ShardPlace]:
    places = []
    with shard_writer(file) as writer:
        for number, group in enumerate(
            _cut(images, max_bytes=MAX_GROUP_BYTES, max_images=MAX_GROUP_IMAGES)
        ):
            writer.write_batch(_batch(group), row_group_size=len(group))
            places += [
                ShardPlace(image_id=image.image_id, shard=name, row_group=number, row=row)
                for row, image in enumerate(group)
            ]
    return places


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
    images: Sequence[ShardImage], *, max_bytes: int, max_images: int | None
) -> Iterator[Sequence[ShardImage]]:
    """Yield consecutive parts within both limits; a single larger image is a part of its own."""
    begin = n_bytes = 0
    for index, image in enumerate(images):
        size = len(image.raw)
        full = max_images is not None and index - begin >= max_images
        if index > begin and (full or n_bytes + size > max_bytes):
            yield images[begin:index]
            begin, n_bytes = index, 0
        n_bytes += size
    if begin < len(images):
        yield images[begin:]
