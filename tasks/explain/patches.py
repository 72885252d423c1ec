"""Patch embeddings of a lake's images as one Parquet file, for models that localise."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...data.errors import ConfigError, InputError, UnreadableImage
from ...data.images.inspect_image import DEFAULT_LIMITS, ImageLimits
from ...data.machine import n_cores
from ...data.store.lake import Lake
from ...data.user_paths import require_output
from ..detector.inputs.preprocess import preprocess
from ..detector.inputs.profiles import Profile
from ..detector.weights.checkpoint import Checkpoint
from ..work.ordered_map import ordered_map
from .tokens import Tokens

DTYPES: Final = {"float16": pa.float16(), "float32": pa.float32()}
IMAGES_A_ROW_GROUP: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Result of a written file.

    Attributes:
        file: Path of the file.
        images: Number of images in it.
        failed: Number of images left out because they cannot be decoded.
        shape: Rows, columns and features of one image's patches.
    """

    file: Path
    images: int
    failed: int
    shape: tuple[int, int, int]


def bytes_per_image(checkpoint: Checkpoint, dtype: str) -> int:
    """Return the size of one image's patches in the file in bytes, before compression."""
    a = checkpoint.require_vit()
    return (a.image_px // a.patch_px) ** 2 * a.width * (2 if dtype == "float16" else 4)


def write_patches(
    lake: Lake,
    checkpoint: Checkpoint,
    profile: Profile,
    file: Path,
    *,
    dtype: str = "float16",
    limit: int | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    on_item: Callable[[int], None] | None = None,
) -> Patches:
    """Write the patch tokens after the final norm of every image, in the lake's storage order.

    Columns: image_id and patches, a list of fixed length in the order row, column, feature. The
    file's metadata has the shape, the detector and the profile. The file appears only when it is
    complete.

    Args:
        lake: Lake of the images.
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the images.
        file: Path of the file, which must not exist.
        dtype: Number format: `float16` or `float32`.
        limit: Largest number of images; None: all.
        limits: Size and memory limits of decoding.
        on_item: Function that receives the number of images done since its last call.

    Raises:
        ConfigError: The dtype is unknown, the limit is below 1, or the network is no ViT of the
            built-in layouts.
        InputError: The file exists or cannot be written, or the lake has no images.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"dtype {dtype!r} is unknown; choose one of {', '.join(DTYPES)}")
    require_output(file)
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}; allowed: 1 image or more")
    if file.exists():
        raise InputError(f"{file} exists; name a new file")
    places = lake.scan("images").select("image_id", "shard", "row_group", "row").collect()
    ordered = places.unique("image_id", keep="any").sort("shard", "row_group", "row")
    ids = ordered["image_id"].head(limit if limit is not None else len(ordered)).to_list()
    if not ids:
        raise InputError(f"{lake.uri} has no images; ingest some")
    a = checkpoint.require_vit()
    side = a.image_px // a.patch_px
    schema = pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("patches", pa.list_(DTYPES[dtype], side * side * a.width), nullable=False),
        ],
        metadata={
            "shape": f"{side},{side},{a.width}",
            "detector": checkpoint.detector_id,
            "weights_sha256": checkpoint.weights_sha256,
            "profile": profile.describe(),
        },
    )
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    n_failed = 0
    streamed = _tokens(lake, ids, Tokens(checkpoint), profile, limits)
    try:
        with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            while rows := list(islice(streamed, IMAGES_A_ROW_GROUP)):
                whole = [(image_id, tokens) for image_id, tokens in rows if tokens is not None]
                n_failed += len(rows) - len(whole)
                writer.write_table(_table(whole, schema, dtype))
                if on_item is not None:
                    on_item(len(rows))
        os.replace(unfinished, file)  # noqa: PTH105
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return Patches(
        file=file, images=len(ids) - n_failed, failed=n_failed, shape=(side, side, a.width)
    )


def read_patches(file: Path) -> tuple[list[str], NDArray[np.float16] | NDArray[np.float32]]:
    """Read the ids and patch embeddings (N, rows, columns, D) of a file of `write_patches`."""
    table = pq.read_table(file)
    shape = tuple(int(n) for n in table.schema.metadata[b"shape"].decode().split(","))
    flat = table["patches"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return table["image_id"].to_pylist(), flat.reshape(-1, *shape)


def _tokens(
    lake: Lake, ids: list[str], network: Tokens, profile: Profile, limits: ImageLimits
) -> Iterator[tuple[str, NDArray[np.float32] | None]]:
    def work(item: tuple[str, bytes]) -> tuple[str, NDArray[np.float32] | None]:
        try:
            pixels = preprocess(item[1], profile, limits)
        except UnreadableImage:
            return item[0], None
        return item[0], network.run(pixels[None])[0, 1:]

    with ThreadPoolExecutor(n_cores(), "assay-patches") as pool:
        yield from ordered_map(pool, work, lake.images(ids), n_ahead=2 * n_cores())


def _table(rows: list[tuple[str, NDArray[np.float32]]], schema: pa.Schema, dtype: str) -> pa.Table:
    length = schema.field("patches").type.list_size
    flat = np.concatenate([tokens.ravel() for _, tokens in rows] or [np.empty(0, np.float32)])
    values = pa.array(flat.astype(dtype))
    lists = pa.FixedSizeListArray.from_arrays(values, length)
    return pa.table([pa.array([image_id for image_id, _ in rows], pa.string()), lists], schema)


def expected_mb(lake: Lake, checkpoint: Checkpoint, dtype: str, limit: int | None) -> float:
    """Return the expected size of the file in MB, before compression."""
    n_images = lake.n_rows("images")
    return min(n_images, limit or math.inf) * bytes_per_image(checkpoint, dtype) / 1e6
