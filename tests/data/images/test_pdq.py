"""PDQ hashes are those of the reference implementation, within the bits that rounding costs."""

from __future__ import annotations

import numpy as np
import pytest
from factories import encoded, photo
from PIL import Image

from assay.data.images.pdq import MATCH_BITS, pdq, pdq_of
from assay.data.images.pixel_facts import measure_pixels

# By pdqhash 0.2.8, the reference in C++, of `photo(seed, size)`.
REFERENCE = {
    (1, (400, 300)): "dafb7b8e49df59e950665d0c597258f152515b965b515469456e070e450d5c63",
    (2, (200, 640)): "bba79f7d56ea1b10666f3a322627130e1b32a56d26321a92e4ed38f162d8331b",
    (3, (700, 520)): "4544e514e6abaa8fc287d114e3feac43a52ace4446aaf13b6ad5211cfde3864f",
}


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize(("seed", "size"), REFERENCE)
def test_the_hash_is_that_of_the_reference(seed, size):
    """Whole images differ by the rounding of luma only; reduced ones stay far below a match."""
    grey = photo(seed=seed, size=size).convert("L")
    expected = REFERENCE[seed, size]
    assert distance(pdq_of(np.asarray(grey, np.float32)), expected) <= 4
    assert distance(pdq(grey), expected) <= 24


def test_half_of_the_bits_are_set():
    """The median of 256 values leaves 128 above it."""
    assert int(pdq(photo(seed=4, size=(300, 300)).convert("L")), 16).bit_count() == 128


def test_a_copy_matches_and_another_image_does_not():
    """Half the size and JPEG 60 is a match; another photo is far away."""
    image = photo(seed=1, size=(640, 480))
    own = pdq(image.convert("L"))
    copy = measure_pixels(encoded(image.resize((320, 240)), "JPEG", quality=60))
    assert distance(copy.pdq, own) <= MATCH_BITS
    assert distance(pdq(photo(seed=2, size=(640, 480)).convert("L")), own) > 2 * MATCH_BITS


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3000, 2), (64, 64)])
def test_any_size_has_a_hash(size):
    """Tiny and narrow images have 64 hex digits too."""
    value = pdq(Image.new("L", size, 9))
    assert len(value) == 64
    int(value, 16)
