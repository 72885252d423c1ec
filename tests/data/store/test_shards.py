"""Shards: compatibility with other libraries, layout, and recovery from crashes."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import datasets
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assay.data.errors import StoreError
from assay.data.store.local_files import LocalStore
from assay.data.store.shards import (
    FOLDER,
    ShardAhead,
    ShardImage,
    ShardPlace,
    read_images,
    shard_name,
    write_shards,
)


def shard_image(raw: bytes, image_format: str = "PNG") -> ShardImage:
    return ShardImage(image_id=hashlib.sha256(raw).hexdigest(), raw=raw, format=image_format)


def flat_png(color: tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


def shard_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_datasets_opens_a_shard_as_pictures(tmp_path: Path) -> None:
    """Hugging Face's loader finds the Image feature and decodes the image."""
    raw = flat_png((200, 10, 30))
    [place] = write_shards(LocalStore(tmp_path), [shard_image(raw)])
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / place.shard), cache_dir=str(tmp_path / "cache")
    )["train"]
    assert isinstance(loaded.features["image"], datasets.Image)
    assert loaded[0]["image_id"] == place.image_id
    assert loaded[0]["image"].size == (6, 4)
    assert loaded[0]["image"].convert("RGB").getpixel((0, 0)) == (200, 10, 30)


def test_polars_and_duckdb_read_a_shard(tmp_path: Path) -> None:
    """Both read the id and the struct of bytes and path."""
    raw = flat_png((1, 2, 3))
    [place] = write_shards(LocalStore(tmp_path), [shard_image(raw)])
    file = str(tmp_path / place.shard)
    row = pl.read_parquet(file).row(0, named=True)
    assert row == {
        "image_id": place.image_id,
        "image": {"bytes": raw, "path": f"{place.image_id}.png"},
    }
    found = duckdb.sql(f"select image_id, octet_length(image.bytes) from '{file}'").fetchall()
    assert found == [(place.image_id, len(raw))]


@pytest.mark.parametrize(
    ("image_format", "ending"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("AVIF", ".avif"), ("GIF", ".gif")],
)
def test_the_path_ends_as_the_format_does(tmp_path: Path, image_format: str, ending: str) -> None:
    """The suffix of the path is that of the format."""
    [place] = write_shards(LocalStore(tmp_path), [shard_image(b"x", image_format)])
    path = pl.read_parquet(tmp_path / place.shard)["image"].struct.field("path")[0]
    assert path == place.image_id + ending


def test_picture_bytes_are_plain_and_without_bounds(tmp_path: Path) -> None:
    """The bytes column has no compression, dictionary or statistics."""
    images = [shard_image(os.urandom(1000)) for _ in range(3)]
    places = write_shards(LocalStore(tmp_path), images)
    file = pq.ParquetFile(tmp_path / places[0].shard)
    columns = {
        file.metadata.row_group(0).column(i).path_in_schema: file.metadata.row_group(0).column(i)
        for i in range(3)
    }
    bytes_column = columns["image.bytes"]
    assert bytes_column.compression == "UNCOMPRESSED"
    assert bytes_column.statistics is None
    assert bytes_column.has_dictionary_page is False
    assert columns["image_id"].statistics.min == min(image.image_id for image in images)
    assert b"huggingface" in file.schema_arrow.metadata


def test_row_groups_hold_sixty_four_pictures(tmp_path: Path) -> None:
    """130 small images form groups of 64, 64 and 2, as their places state."""
    places = write_shards(LocalStore(tmp_path), [shard_image(b"%d" % n) for n in range(130)])
    assert [(p.row_group, p.row) for p in places] == [(n // 64, n % 64) for n in range(130)]
    metadata = pq.read_metadata(tmp_path / places[0].shard)
    assert [metadata.row_group(n).num_rows for n in range(3)] == [64, 64, 2]


def test_row_groups_hold_about_eight_mebibytes(tmp_path: Path) -> None:
    """Images of 3 MiB go two to a group; one of 9 MiB is a group of its own."""
    sizes = [3, 3, 3, 9, 1]
    images = [shard_image(bytes([n]) * (size << 20)) for n, size in enumerate(sizes)]
    places = write_shards(LocalStore(tmp_path), images)
    assert [(p.row_group, p.row) for p in places] == [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0)]


def test_a_full_shard_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the size limit images continue in the next shard, in order."""
    monkeypatch.setattr("assay.data.store.shards.MAX_SHARD_BYTES", 1000)
    images = [shard_image(bytes([n]) * 400) for n in range(5)]
    store = LocalStore(tmp_path)
    places = write_shards(store, images)
    assert [place.image_id for place in places] == [image.image_id for image in images]
    assert [place.shard for place in places] == [
        shard_name(image.image_id for image in part)
        for part in (images[:2], images[:2], images[2:4], images[2:4], images[4:])
    ]
    assert len(shard_files(tmp_path)) == 3
    assert dict(read_images(store, places)) == {image.image_id: image.raw for image in images}


def test_the_same_images_give_the_same_file(tmp_path: Path) -> None:
    """The same images give the same name and bytes; another order gives another name."""
    images = [shard_image(bytes([n]) * 5000) for n in range(10)]
    [one, two] = [write_shards(LocalStore(tmp_path / side), images)[0].shard for side in "ab"]
    assert one == two
    assert (tmp_path / "a" / one).read_bytes() == (tmp_path / "b" / two).read_bytes()
    assert write_shards(LocalStore(tmp_path / "a"), images[::-1])[0].shard != one


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=300), unique=True, min_size=1, max_size=90))
def test_bytes_come_back_as_they_went(
    tmp_path_factory: pytest.TempPathFactory, payloads: Sequence[bytes]
) -> None:
    """Any bytes, also empty ones, are read back unchanged."""
    store = LocalStore(tmp_path_factory.mktemp("round"))
    places = write_shards(store, [shard_image(raw) for raw in payloads])
    assert [raw for _, raw in read_images(store, places)] == list(payloads)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """A write that fails at the rename leaves no file."""
    image = shard_image(b"x")
    (tmp_path / shard_name([image.image_id])).mkdir(parents=True)  # in the way of the rename
    with pytest.raises(StoreError, match="cannot write"):
        write_shards(LocalStore(tmp_path), [image])
    assert shard_files(tmp_path) == []


def test_changed_bytes_are_noticed(tmp_path: Path) -> None:
    """A flipped bit inside an image is an error."""
    store = LocalStore(tmp_path)
    raw = b"picture " * 100
    [place] = write_shards(store, [shard_image(raw)])
    file = tmp_path / place.shard
    content = file.read_bytes()
    assert content.count(raw) == 1
    file.write_bytes(content.replace(raw, b"Picture " + raw[8:]))
    with pytest.raises(StoreError, match=r"does not have image [0-9a-f]{64}; the file was changed"):
        list(read_images(store, [place]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.unlink(), "is missing; restore images with: assay lake repair"),
        (lambda file: file.write_bytes(file.read_bytes()[:-20]), "cannot read"),
        (lambda file: file.write_bytes(b""), "cannot read"),
    ],
)
def test_a_missing_or_cut_shard_is_an_error_of_the_store(
    tmp_path: Path, change: object, message: str
) -> None:
    """A missing or truncated shard raises a StoreError that names the file."""
    store = LocalStore(tmp_path)
    [place] = write_shards(store, [shard_image(b"x" * 100)])
    change(tmp_path / place.shard)
    with pytest.raises(StoreError, match=message) as caught:
        list(read_images(store, [place]))
    assert place.shard in str(caught.value)


@pytest.mark.parametrize(("row_group", "row"), [(5, 0), (0, 5)])
def test_a_place_outside_the_shard_is_an_error(tmp_path: Path, row_group: int, row: int) -> None:
    """A place past the end of a shard is an error."""
    store = LocalStore(tmp_path)
    [place] = write_shards(store, [shard_image(b"x")])
    wrong = ShardPlace(image_id=place.image_id, shard=place.shard, row_group=row_group, row=row)
    with pytest.raises(StoreError, match="cannot read"):
        list(read_images(store, [wrong]))


def test_one_row_group_is_in_memory_at_a_time(tmp_path: Path) -> None:
    """Reading 96 MiB of images holds at most two row groups in memory."""
    store = LocalStore(tmp_path)
    places = write_shards(store, [shard_image(os.urandom(4 << 20)) for _ in range(24)])
    peak = 0
    before = pa.total_allocated_bytes()
    for _ in read_images(store, places):
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak <= 2 * 9 * 2**20


def written_ahead(store: LocalStore, images: list[ShardImage], known: str = "") -> ShardAhead:
    ahead = ShardAhead(store, lambda image_ids: known in image_ids)
    for image in images:
        ahead.add(image)
    return ahead


def test_a_shard_written_ahead_is_the_one_written_at_once(tmp_path: Path) -> None:
    """Name, places and bytes are equal."""
    images = [shard_image(b"%d" % n) for n in range(130)]
    ahead, at_once = LocalStore(tmp_path / "ahead"), LocalStore(tmp_path / "at-once")
    places = written_ahead(ahead, images).finish([image.image_id for image in images])
    assert places == write_shards(at_once, images)
    [file] = ahead.files(FOLDER)
    assert ahead.read(file.name) == at_once.read(file.name)


@pytest.mark.parametrize("case", ["one image fewer", "another order", "an image is known"])
def test_a_shard_of_other_images_is_discarded(tmp_path: Path, case: str) -> None:
    """What is to be stored differs from what was added, so nothing is left of it."""
    images = [shard_image(b"a"), shard_image(b"b")]
    ids = [image.image_id for image in images]
    wanted = {"one image fewer": ids[:1], "another order": ids[::-1], "an image is known": ids}
    known = ids[1] if case == "an image is known" else ""
    ahead = written_ahead(LocalStore(tmp_path), images, known)
    assert ahead.finish(wanted[case]) is None
    assert LocalStore(tmp_path).files(FOLDER) == []
