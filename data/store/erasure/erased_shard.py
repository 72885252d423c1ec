"""Shards without the bytes of forgotten images.

Rows keep their places, which all versions of `images` name, so only the bytes become null.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from ..files import Store
from ..parquet_reader import open_parquet
from ..shards import shard_writer

_BYTES: Final = "image.bytes"


def has_bytes_of(store: Store, name: str, image_ids: Collection[str]) -> bool:
    """Return whether a shard has bytes of some images.

    Args:
        store: Store of the lake.
        name: Path of the shard below the lake.
        image_ids: Ids of the images.

    Raises:
        OSError: The shard is missing or cannot be read.
        ArrowInvalid: The shard cannot be decoded.
    """
    wanted = pa.array(sorted(image_ids), pa.string())
    with open_parquet(store, name) as file:
        for number, group in enumerate(file.groups(["image_id"])):
            ids = group.column("image_id")
            is_wanted = pc.is_in(ids, wanted)
            if not pc.any(is_wanted).as_py():
                continue
            raws = pc.struct_field(file.group(number, [_BYTES])["image"], "bytes")
            if pc.any(pc.and_(is_wanted, pc.is_valid(raws))).as_py():
                return True
    return False


def erase_bytes(store: Store, name: str, image_ids: Collection[str]) -> None:
    """Write a shard again without the bytes of some images, one row group in memory at a time.

    Args:
        store: Store of the lake.
        name: Path of the shard below the lake.
        image_ids: Ids of the images.

    Raises:
        OSError: The shard cannot be read or written.
        ArrowInvalid: The shard cannot be decoded.
    """
    wanted = pa.array(sorted(image_ids), pa.string())
    with (
        open_parquet(store, name) as file,
        store.creating(name) as out,
        shard_writer(out) as writer,
    ):
        for group in file.groups():
            rows = group.combine_chunks()
            writer.write_batch(_without_bytes(rows, wanted), row_group_size=rows.num_rows)


def _without_bytes(rows: pa.Table, wanted: pa.Array) -> pa.RecordBatch:
    ids = rows.column("image_id").combine_chunks()
    image = rows.column("image").combine_chunks()
    is_wanted = pc.is_in(ids, wanted)
    raws = pc.if_else(is_wanted, pa.scalar(None, pa.binary()), pc.struct_field(image, "bytes"))
    parts = pa.StructArray.from_arrays(
        [raws, pc.struct_field(image, "path")], fields=list(image.type)
    )
    return pa.record_batch([ids, parts], schema=rows.schema)
