"""Every method works on the upright image that a person sees."""

import factories
import numpy as np
import pytest
import torch
from making import FunctionTools, job, pixels_of
from PIL import Image

from assay.data.errors import ConfigError, SynthError
from assay.data.images.decode import UPRIGHT, decode_rgb
from assay.synth.generators.load import LoadSettings, load_generator
from assay.synth.methods.make import make
from assay.synth.parent_image import open_parent

# Tall, with a bright upper half: lying on its side it is wide, with a bright half at one side.
TALL = np.zeros((48, 32, 3), np.uint8) + 40
TALL[:24] = 200
SETTINGS = {
    "launder": {"condition": "jpeg-90"},
    "attack": {"epsilon": 1, "steps": 1},
    "image-to-image": {"generator": "painter"},
    "inpaint": {"generator": "painter", "mask": "full"},
}


def child_of(parent: bytes, method: str):
    return make(job(method, **SETTINGS[method]), parent, FunctionTools(), origin="here")


def lying(orientation: int) -> bytes:
    """Return TALL as a camera stores it in this orientation."""
    undo = {3: 2, 6: 1, 8: 3}[orientation]  # quarter turns to the left
    stored = Image.fromarray(np.rot90(TALL, undo).copy())
    return factories.with_exif(orientation=orientation, file_format="PNG", image=stored)


@pytest.mark.parametrize("method", SETTINGS)
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_child_stands_upright_whatever_way_its_parent_was_held(method, orientation):
    """Its pixels are those of the upright parent, and its file has no orientation."""
    made = child_of(lying(orientation), method)
    assert np.abs(pixels_of(made.raw).astype(int) - TALL).max() <= 4
    assert np.asarray(decode_rgb(made.raw, UPRIGHT)).shape == TALL.shape
    assert made.notes["turned_from"] == orientation


PARENTS = {
    "16-bit grey": (factories.grey16_png([98 * 257]), (98, 98, 98)),
    "transparent colour": (factories.rgba_png(alpha=0), (255, 255, 255)),
    "half transparent": (factories.rgba_png(alpha=128, colour=(200, 0, 100)), (227, 127, 177)),
    "grey and alpha": (
        factories.encoded(Image.new("LA", (32, 32), (10, 0)), "PNG"),
        (255, 255, 255),
    ),
    "palette": (
        factories.encoded(Image.new("RGB", (32, 32), (10, 200, 30)).quantize(4), "PNG"),
        (10, 200, 30),
    ),
    "bilevel": (factories.encoded(Image.new("1", (32, 32), 1), "PNG"), (255, 255, 255)),
}


@pytest.mark.parametrize("method", SETTINGS)
@pytest.mark.parametrize("kind", PARENTS)
def test_a_child_shows_what_its_parent_shows(method, kind):
    """16 bits are scaled, and transparent parts are on white."""
    parent, colour = PARENTS[kind]
    shown = pixels_of(child_of(parent, method).raw).astype(int)
    assert np.abs(shown - colour).max() <= 3
    assert (np.asarray(open_parent(parent).image) == np.asarray(decode_rgb(parent, UPRIGHT))).all()


def test_a_parent_that_is_no_picture_is_said():
    """A file that claims an enormous size is refused too."""
    for parent, message in (
        (b"none", "the parent cannot be decoded"),
        (factories.png_bomb(), "the parent cannot be decoded: too_many_pixels"),
        (None, "needs a parent image"),
    ):
        with pytest.raises(SynthError, match=message):
            child_of(parent, "launder")


@pytest.mark.parametrize("epsilon", [0.5, 2.5])
def test_an_attack_of_part_of_a_level_is_refused(epsilon):
    """A file of 8 bits would hold another epsilon than its row."""
    with pytest.raises(ConfigError, match="files hold whole levels"):
        make(job("attack", epsilon=epsilon), factories.png(), FunctionTools(), origin="")


@pytest.mark.parametrize("epsilon", [1, 2.0])
def test_the_file_of_an_attack_is_as_far_from_its_parent_as_its_row_says(epsilon):
    """Every sample of an image without black is lowered by epsilon."""
    parent = np.full((20, 30, 3), 100, np.uint8)
    raw = factories.encoded(Image.fromarray(parent), "PNG")
    made = make(
        job("attack", epsilon=epsilon, steps=4, aim="lower"), raw, FunctionTools(), origin=""
    )
    assert (pixels_of(made.raw) == 100 - epsilon).all()
    assert made.strength == made.notes["levels_changed"] == epsilon


def test_the_number_of_threads_decides_no_pixel():
    """The embedded generator repaints a photo equally with one thread and with two."""
    generator = load_generator("mini-sd3", LoadSettings(device="cpu"))
    tools = FunctionTools(generator=generator)
    parent = factories.png(size=(200, 300))
    what = job("image-to-image", seed=3, generator="mini-sd3", prompt="a photo", steps=4)
    before, made = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            made.append(make(what, parent, tools, origin="").raw)
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    assert made[0] == made[1]
