"""Measures of pixels tell enlarged images from others, and graphics from photos."""

from __future__ import annotations

import numpy as np
import pytest
from factories import photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from assay.data.images.pixel_facts import detail_of, flat_share_of, n_colours_of, pixel_facts


def textured(seed: int, size: tuple[int, int] = (600, 400)) -> Image.Image:
    """Return noise with the same contrast in every octave, as photos have."""
    rng = np.random.default_rng(seed)
    width, height = size
    values = np.full((height, width), 128.0)
    for octave in range(6):
        coarse = rng.normal(0, 14, (-(-height // 2**octave), -(-width // 2**octave)))
        values += np.kron(coarse, np.ones((2**octave, 2**octave)))[:height, :width]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("filter_", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_doubling_halves_the_detail_and_reducing_keeps_it(seed, filter_):
    """An enlarged image has little in its finest octave, at any size."""
    image = textured(seed)
    own = detail_of(image)
    assert detail_of(image.resize((1200, 800), filter_)) < 0.38 < own
    assert detail_of(image.resize((300, 200), Image.Resampling.LANCZOS)) > 0.38


def test_an_image_without_contrast_or_pixels_has_no_detail():
    """One colour, and fewer than 32 px, are unknown."""
    assert detail_of(Image.new("L", (100, 100), 7)) is None
    assert detail_of(textured(1, (31, 400))) is None
    assert detail_of(textured(1, (32, 400))) is not None


def test_flatness_by_eye():
    """Two columns of four differ from the one before."""
    rows = np.array([[5, 5, 5, 6, 7]] * 3, dtype=np.uint8)
    assert flat_share_of(Image.fromarray(rows)) == 0.5
    assert flat_share_of(Image.new("L", (1, 9), 3)) == 1.0


def test_colours_by_eye():
    """Nine tenths white and a tenth black are one colour; eight tenths and two are two."""
    for share, n_colours in ((0.9, 1), (0.8, 2)):
        image = np.zeros((100, 100, 3), dtype=np.uint8)
        image[: int(100 * share)] = 255
        assert n_colours_of(Image.fromarray(image)) == n_colours


def test_levels_of_one_sixteenth_are_one_colour():
    """Values 16 and 31 are the same level, 32 is the next."""
    image = np.full((10, 10, 3), 16, dtype=np.uint8)
    image[:5] = 31
    assert n_colours_of(Image.fromarray(image)) == 1
    image[:5] = 32
    assert n_colours_of(Image.fromarray(image)) == 2


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 3))
def test_any_image_has_measures_within_their_ranges(width, height, seed):
    """No size fails, and every measure is finite."""
    image = photo(seed=seed, size=(width, height))
    facts = pixel_facts(image.convert("L"), image.convert("RGB"))
    assert facts.detail is None or 0 <= facts.detail < 100
    assert 0 <= facts.flat_share <= 1
    assert 1 <= facts.n_colours <= 4096
