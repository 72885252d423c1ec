"""Image bytes in Parquet files that Hugging Face `datasets`, polars and DuckDB read as they are.

A shard is immutable, and named by the ids it holds, so that writing the same images again
gives the same file. Writing a shard publishes nothing: a shard exists when a committed
`images` row names it.

Row groups hold at most 64 images and about 8 MiB: one image is read by reading its row
group, and those sizes cost some milliseconds locally and one small range request on S3,
while a group of 100 MB (what readers can bear) would cost a hundred times the image.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import StoreError, brief
from ..schema import SHARD
from .damage import advice
from .files import Store
from .retry import retried

FOLDER = "shards"
MAX_SHARD_BYTES = 450_000_000  # below the 500 MB that readers expect, footer and all
MAX_GROUP_BYTES = 8 * 2**20
MAX_GROUP_IMAGES = 64

_REPAIR = "bring back what can be with: assay lake repair --lake"

_EXTENSIONS = {"JPEG": "jpg", "TIFF": "tif"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardImage:
    """One image to store: its id, its encoded bytes, and Pillow's name of its format."""

    image_id: str
    raw: bytes
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlace:
    """Where an image lies: shard (name below the lake's root), row group, row in that group."""

    image_id: str
    shard: str
    row_group: int
    row: int


def shard_name(image_ids: Iterable[str]) -> str:
    """The name that a shard of these images, in this order, always has."""
    digest = hashlib.sha256("\n".join(image_ids).encode()).hexdigest()
    return f"{FOLDER}/{digest[:32]}.parquet"


def write_shards(store: Store, images: Sequence[ShardImage]) -> list[ShardPlace]:
    """Write images to as many shards as their bytes need, and say where each one lies.

    Each shard appears whole or not at all. A shard that is there already is written again:
    that makes it young, and `Lake.sweep` leaves the young alone.

    Raises:
        StoreError: The store refused (no room, no permission, no network).
    """
    places: list[ShardPlace] = []
    for part in _cut(images, max_bytes=MAX_SHARD_BYTES, max_images=None):
        name = shard_name(image.image_id for image in part)
        try:
            with store.creating(name) as file:
                places += _write(file, name, part)
        except OSError as error:
            raise StoreError(f"cannot write {store.path(name)}: {brief(error)}") from error
    return places


def read_images(store: Store, places: Iterable[ShardPlace]) -> Iterator[tuple[str, bytes]]:
    """The images at these places, one row group in memory at a time.

    Give places sorted by shard and row group; each run of equals is opened once.

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
            if raw is None or hashlib.sha256(raw).hexdigest() != place.image_id:
                raise StoreError(
                    f"{address} row group {place.row_group} row {place.row} does not hold image"
                    f" {place.image_id}; the file was changed; {_REPAIR} {store.uri}"
                )
            yield place.image_id, raw
    finally:
        reader.close()


class _GroupReader:
    """Row groups of shards, of which the last one read is kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shard: str | None = None
        self._file: pq.ParquetFile | None = None
        self._number: int | None = None
        self._group: pa.Table | None = None

    def group(self, shard: str, number: int) -> pa.Table:
        """Return the bytes of a row group; an error leaves nothing half open."""
        if shard == self._shard and number == self._number:
            return self._group
        self._number = self._group = None  # let go of the last one before the next is read
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
        """Close the shard that is open."""
        file, self._file, self._shard = self._file, None, None
        self._number = self._group = None
        if file is not None:
            file.close(force=True)


def _write(file: object, name: str, images: Sequence[ShardImage]) -> list[ShardPlace]:
    places = []
    writer = pq.ParquetWriter(
        file,
        SHARD,
        # JPEG, PNG and WebP do not compress again; bounds and dictionaries of image
        # bytes would be large and of no use.
        compression={"image_id": "zstd", "image.path": "zstd", "image.bytes": "none"},
        write_statistics=["image_id"],
        use_dictionary=False,
        write_page_index=True,
        use_content_defined_chunking=True,
    )
    with writer:
        for number, group in enumerate(
            _cut(images, max_bytes=MAX_GROUP_BYTES, max_images=MAX_GROUP_IMAGES)
        ):
            writer.write_batch(_batch(group), row_group_size=len(group))
            places += [
                ShardPlace(image_id=image.image_id, shard=name, row_group=number, row=row)
                for row, image in enumerate(group)
            ]
    return places


def _batch(images: Sequence[ShardImage]) -> pa.RecordBatch:
    ids = [image.image_id for image in images]
    # A reader that looks at the name learns the format; where the image came from is in
    # `sightings`, and may differ from one sighting to the next.
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
    """Consecutive parts within both limits; a single larger image is a part of its own."""
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
