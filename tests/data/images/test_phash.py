"""The perceptual hash is imagehash's, whatever the size of the image."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from assay.data.images.phash import is_as_pillows, narrowed, phash, reduced

SIDES = (1, 3, 32, 255, 256, 257, 301, 455, 456, 640)


@pytest.mark.parametrize("width_px", SIDES)
def test_an_image_is_reduced_as_pillow_reduces_it(width_px):
    """Every pixel is equal, for widths and heights on both sides of each limit."""
    rng = np.random.default_rng(width_px)
    for height_px in (*SIDES, 1000, 1137, 1138):
        noise = rng.integers(0, 256, (height_px, width_px), dtype=np.uint8)
        grey = Image.fromarray(noise)
        expected = grey.resize((32, 32), Image.Resampling.LANCZOS)
        assert reduced(grey).tobytes() == expected.tobytes(), grey.size
        assert phash(grey) == str(imagehash.phash(grey)), grey.size


@pytest.mark.parametrize("width_px", [256, 1023, 1024, 2731, 4096])
def test_rows_are_narrowed_as_pillow_narrows_them(width_px):
    """Every pixel is equal before the second pass too, also where sums leave 0 to 255."""
    rng = np.random.default_rng(width_px)
    for noise in (rng.integers(0, 256, (150, width_px)), 255 * rng.integers(0, 2, (150, width_px))):
        rows = noise.astype(np.uint8)
        expected = Image.fromarray(rows).resize((32, 150), Image.Resampling.LANCZOS)
        assert np.array_equal(narrowed(rows), np.asarray(expected))


def test_a_pillow_that_narrows_in_another_way_is_followed(monkeypatch):
    """A release of Pillow with other arithmetic is noticed, and its own resize used."""
    assert is_as_pillows()
    is_as_pillows.cache_clear()
    monkeypatch.setattr("assay.data.images.phash.narrowed", lambda grey: 255 - narrowed(grey))
    assert not is_as_pillows()
    is_as_pillows.cache_clear()


def test_an_image_of_many_pixels_is_reduced_as_pillow_reduces_it():
    """The way for images too large to copy gives the same hash."""
    ramp = np.arange(4096, dtype=np.uint32) * 40503 >> 8
    grey = Image.fromarray((ramp[None, :] ^ ramp[:, None]).astype(np.uint8))
    assert phash(grey) == str(imagehash.phash(grey))
