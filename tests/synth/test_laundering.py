"""Conditions are named, deterministic, and the same for every class."""

import io

import factories
import numpy as np
import pytest
from PIL import Image

from assay.data.errors import SynthError
from assay.data.images.inspect_image import inspect_image
from assay.synth.laundering import CONDITIONS, conditions

PHOTO = np.asarray(factories.photo(size=(160, 120)))


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
def test_the_same_pixels_give_the_same_bytes(condition):
    """Two calls and a copy of the pixels give equal files."""
    assert condition.apply(PHOTO) == condition.apply(np.asfortranarray(PHOTO))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("jpeg-50", (160, 120)),
        ("half", (80, 60)),
        ("double", (320, 240)),
        ("half-and-back", (160, 120)),
        ("crop-80", (128, 96)),
        ("crop-50", (80, 60)),
        ("thumbnails", (160, 120)),
        ("screenshot", (132, 110)),  # (160 + 2*8, 120 + 2*8 + 10) * 0.75, halves to even
    ],
)
def test_sizes_are_those_of_the_name(name, size):
    """The sizes are computed by hand."""
    facts = inspect_image(conditions((name,))[0].apply(PHOTO))
    assert (facts.width_px, facts.height_px) == size


@pytest.mark.parametrize("quality", [90, 70, 50, 30])
def test_jpeg_conditions_are_pillows_own(quality):
    """The bytes are those of Pillow at the named quality."""
    raw = conditions((f"jpeg-{quality}",))[0].apply(PHOTO)
    assert raw == factories.encoded(Image.fromarray(PHOTO), "JPEG", quality=quality)
    assert inspect_image(raw).jpeg_quality == quality


def test_a_long_chain_reduces_to_thumbnails():
    """A large image ends at 256 px."""
    big = np.asarray(factories.photo(size=(900, 600)))
    facts = inspect_image(conditions(("thumbnails",))[0].apply(big))
    assert (facts.width_px, facts.height_px) == (256, 170)


def test_noise_has_the_strength_of_its_name():
    """On mid grey, where nothing is clipped, it is right within a tenth."""
    grey = np.full((200, 200, 3), 128, np.uint8)
    raw = conditions(("noise-10",))[0].apply(grey)
    with Image.open(io.BytesIO(raw)) as image:
        spread = np.asarray(image.convert("RGB")).astype(float).std()
    assert spread == pytest.approx(10, rel=0.1)


def test_names_and_families_choose_in_the_lists_order():
    """A family selects its members, and no names select all."""
    assert [c.name for c in conditions(("webp", "jpeg-90"))] == ["jpeg-90", "webp-80", "webp-50"]
    assert conditions() == CONDITIONS
    assert len({c.name for c in CONDITIONS}) == len(CONDITIONS)


def test_what_cannot_be_laundered_is_said():
    """Unknown names and images of a few pixels are refused."""
    with pytest.raises(SynthError, match="no condition is named 'jpg'; allowed: blur"):
        conditions(("jpg",))
    with pytest.raises(SynthError, match="at least 16 px; seen 160x15"):
        CONDITIONS[0].apply(PHOTO[:15])
