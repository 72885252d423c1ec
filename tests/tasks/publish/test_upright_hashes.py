"""Images that earlier versions hashed as stored are compared with new ones correctly."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import factories
import imagehash
import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageOps

from assay.data.images.inspect_image import inspect_image
from assay.data.store.lake import Lake
from assay.data.store.shards import ShardImage
from assay.tasks.publish.publish import publish
from assay.tasks.publish.upright_hashes import with_upright_hashes
from assay.tasks.similar.search import find_similar, image_query, stored_query

PHOTO = factories.photo(seed=8, size=(300, 200))
GREY = factories.photo(seed=9, size=(300, 200)).convert("L")


def turned(quality: int) -> bytes:
    """Return a photo that lies on its side, with metadata that rotate it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = PHOTO.transpose(Image.Transpose.ROTATE_90)
    return factories.encoded(lying, "JPEG", quality=quality, exif=exif)


PICTURES = {
    "phone": turned(95),
    "phone again": turned(60),
    "sent on": factories.encoded(PHOTO, "JPEG", quality=80),
    "deep": factories.encoded(Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257), "PNG"),
    "shallow": factories.encoded(GREY, "PNG"),
    "other": factories.jpeg(seed=10, size=(300, 200)),
}
GROUPS = [{"phone", "phone again", "sent on"}, {"deep", "shallow"}, {"other"}]


def lake_with(folder: Path, older: set[str]) -> tuple[Lake, dict[str, str]]:
    """Return a lake of these images, some of them with the rows of an earlier version."""
    lake = Lake(folder)
    facts = {name: inspect_image(raw) for name, raw in PICTURES.items()}
    places = lake.write_shard(
        [
            ShardImage(image_id=facts[name].image_id, raw=raw, format=facts[name].format)
            for name, raw in PICTURES.items()
        ]
    )
    for number, (name, place) in enumerate(zip(PICTURES, places, strict=True)):
        row = {key: getattr(facts[name], key) for key in facts[name].__slots__} | {
            "shard": place.shard,
            "row_group": place.row_group,
            "row": place.row,
            "batch_id": "b",
            "ingested_at": datetime(2026, 1, 1, number, tzinfo=UTC),
        }
        if name in older:
            del row["phash_of"], row["doubt"]
            row["phash"] = str(imagehash.phash(Image.open(io.BytesIO(PICTURES[name]))))
        lake.append("images", [row], txn=name)
    return lake, {facts[name].image_id: name for name in PICTURES}


@pytest.mark.parametrize(
    "older", [set(), {"phone"}, {"sent on", "deep"}, set(PICTURES)], ids=["new", "a", "b", "old"]
)
def test_published_groups_are_of_upright_pixels_whatever_the_lake_holds(tmp_path, older):
    """Copies are one group, in new, old and mixed lakes."""
    lake, name_of = lake_with(tmp_path / "lake", older)
    publish(lake, tmp_path / "out", fractions=(0.4, 0.3, 0.3))
    rows = pl.concat(pl.read_parquet(file) for file in (tmp_path / "out" / "data").iterdir())
    groups = rows.group_by("group_id").agg("image_id")["image_id"].to_list()
    found = [{name_of[image_id] for image_id in group} for group in groups]
    assert sorted(map(sorted, found)) == sorted(map(sorted, GROUPS))
    for image_id, phash in rows.select("image_id", "phash").iter_rows():
        assert phash == inspect_image(PICTURES[name_of[image_id]]).phash


def test_only_older_rows_are_worked_out_anew(tmp_path):
    """New rows, and older rows of upright pixels, keep their hash."""
    lake, name_of = lake_with(tmp_path, {"phone", "sent on"})
    before = lake.scan("images").collect()
    after = with_upright_hashes(lake, before)
    changed = before.filter(before["phash"] != after["phash"])["image_id"]
    assert [name_of[image_id] for image_id in changed] == ["phone"]
    assert before.drop("phash").equals(after.drop("phash"))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(PICTURES["phone"])))
    assert str(imagehash.phash(upright)) in after["phash"].to_list()


@pytest.mark.parametrize("older", [{"phone"}, {"phone again"}, {"phone", "phone again"}])
def test_copies_that_lie_alike_are_found_across_versions(tmp_path, older):
    """A search by hash finds a rotated copy, whichever was hashed as stored."""
    lake, name_of = lake_with(tmp_path, older)
    by_id = {name: image_id for image_id, name in name_of.items()}
    for query in (
        stored_query(lake, by_id["phone"]),
        image_query(lake, PICTURES["phone"], "phone.jpg"),
        image_query(lake, turned(80), "another.jpg"),
    ):
        near = find_similar(lake, query, by="phash", k=6).neighbours
        bits = {name_of[n.known.image_id]: n.hamming_bits for n in near}
        assert bits["phone again"] <= 6
        assert bits["sent on"] <= 6
        assert bits["other"] > 12
