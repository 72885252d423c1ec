"""Renditions of images: a veil that hides, a thumbnail that shows, within bounds of memory."""

import io
import threading

import lakes
import numpy as np
import pytest
from lakes import Shot
from PIL import Image

from assay.data.store.lake import Lake
from assay.tasks.grid.renditions import THUMBNAIL_PX, RenditionStore, renditions_of

SHOTS = [Shot(name=f"{n}.jpg", seed=n, size=(640, 480)) for n in range(6)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return lakes.lake_of(tmp_path_factory.mktemp("renditions") / "lake", SHOTS)


@pytest.fixture
def store(made):
    kept = RenditionStore(made.lake)
    yield kept
    kept.close()


def opened(raw):
    return Image.open(io.BytesIO(raw))


def test_a_veil_is_grey_and_has_no_detail(made, store):
    """Twelve pixels are all that a browser gets before a person asks for the image."""
    image = store.get(made.ids["0.jpg"])
    veil = opened(image.veil).convert("RGB")
    assert veil.size == (12, 9)
    # WebP stores colour; grey has equal channels up to rounding.
    pixels = np.asarray(veil).astype(int)
    assert (pixels.max(axis=2) - pixels.min(axis=2) <= 2).all()
    assert len(image.veil) < 300


def test_a_thumbnail_is_the_image(made, store):
    """It has the image's shape within the largest side, and no metadata."""
    image = opened(store.get(made.ids["0.jpg"]).thumbnail)
    assert image.size == (THUMBNAIL_PX, THUMBNAIL_PX * 480 // 640)
    assert "exif" not in image.info


def test_images_of_a_page_are_read_in_one_go(made, monkeypatch):
    """Neighbours lie in one row group, which is then read once."""
    calls = []
    images = Lake.images

    def counted(self, ids):
        calls.append(sorted(ids))
        return images(self, ids)

    monkeypatch.setattr(Lake, "images", counted)
    store = RenditionStore(made.lake)
    ids = sorted(made.ids.values())
    store.expect(ids)
    assert all(store.get(image_id) is not None for image_id in ids)
    store.expect(ids)
    store.close()
    assert calls == [ids]


def test_what_cannot_be_shown_is_said_and_hurts_no_other(tmp_path):
    """An unknown id, and bytes that no longer decode, have no renditions."""
    lake = lakes.lake_of(tmp_path / "lake", SHOTS[:2]).lake
    ids = lake.scan("images").collect()["image_id"].to_list()
    store = RenditionStore(lake)
    store.expect(["0" * 64, *ids])
    assert store.get("0" * 64) is None
    assert all(store.get(image_id) is not None for image_id in ids)
    store.close()
    assert renditions_of(b"no image") is None
    assert renditions_of(b'<svg onload="x()"></svg>') is None


def test_memory_is_bounded(made):
    """The last used renditions stay, the others are made again."""
    store = RenditionStore(made.lake, max_bytes=20_000)
    ids = list(made.ids.values())
    first = store.get(ids[0])
    for image_id in ids:
        assert store.get(image_id) is not None
        assert store.n_bytes <= 20_000
    assert store.get(ids[0]) == first
    store.close()


def test_many_threads_get_the_same(made, store):
    """Requests of a page come at once."""
    found = {}

    def ask(number):
        image_id = list(made.ids.values())[number % 6]
        found[number] = (image_id, store.get(image_id))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 24
    assert len({(image_id, image.thumbnail) for image_id, image in found.values()}) == 6


def test_a_closed_store_answers_nobody(made):
    """Who asks while the server stops is not left waiting."""
    store = RenditionStore(made.lake)
    store.close()
    assert store.get(made.ids["0.jpg"], timeout_s=5) is None
