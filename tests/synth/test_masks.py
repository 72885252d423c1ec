"""A mask from a file is black and white or refused, so that no mask is misread."""

import factories
import numpy as np
import pytest
from making import FunctionTools, job
from PIL import Image

from assay.data.errors import SynthError
from assay.synth.masks import given_mask
from assay.synth.methods.make import make

LEFT = np.zeros((20, 40), bool)
LEFT[:, :10] = True


def written(folder, image, **options):
    image.save(folder / "m.png", **options)
    return folder


def grey(dark, light, dtype=np.uint8):
    return Image.fromarray(np.where(LEFT, light, dark).astype(dtype))


def with_alpha(mode, colour, alpha):
    image = Image.new(mode, (40, 20), colour)
    image.putalpha(Image.fromarray(np.where(LEFT, alpha, 0).astype(np.uint8)))
    return image


PLAIN = {
    "bytes": grey(0, 255),
    "not quite black and white": grey(3, 250),
    "labels": grey(0, 1),
    "16 bits": grey(0, 65535, np.uint16),
    "16 bits, soft": grey(900, 64000, np.uint16),
    "labels in 16 bits": grey(0, 1, np.uint16),
    "8 bits kept in 16": grey(0, 255, np.uint16),
    "bilevel": grey(0, 255).convert("1"),
    "grey as colour": grey(0, 255).convert("RGB"),
    "palette of black and white": grey(0, 255).convert("RGB").quantize(2),
    "opaque": grey(0, 255).convert("RGBA"),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_mask_paints_its_light_part(tmp_path, kind):
    """The left quarter is light, at every number of bits."""
    mask = given_mask(written(tmp_path, PLAIN[kind]), "m", (40, 20))
    np.testing.assert_array_equal(mask, LEFT)


@pytest.mark.parametrize(("value", "share"), [(0, 0), (255, 1), (1, 1)])
def test_a_mask_of_one_value_is_all_or_nothing(tmp_path, value, share):
    """Black keeps the image; white and the label 1 repaint it."""
    assert given_mask(written(tmp_path, grey(value, value)), "m", (40, 20)).mean() == share


UNCLEAR = {
    "alpha alone": (with_alpha("RGB", "white", 255), "partly transparent"),
    "grey and alpha": (with_alpha("L", 0, 200), "partly transparent"),
    "coloured": (Image.new("RGB", (40, 20), "red"), "coloured"),
    "other labels": (grey(0, 3), "its values range from 0 to 3, and white is 255"),
    "no dark part": (grey(180, 255), "its values range from 180 to 255"),
    "grey": (grey(128, 128), "its values range from 128 to 128"),
    "dark in 16 bits": (grey(0, 300, np.uint16), "from 0 to 300, and white is 65535"),
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_a_mask_that_could_mean_anything_is_refused(tmp_path, kind):
    """The message names the values and what a mask may be."""
    image, seen = UNCLEAR[kind]
    with pytest.raises(SynthError, match=rf"m\.png is ambiguous: .*{seen}.*allowed: grey"):
        given_mask(written(tmp_path, image), "m", (40, 20))


def test_an_animation_is_no_mask(tmp_path):
    """It is ambiguous which frame is meant."""
    frames = [grey(0, 255), grey(255, 0)]
    frames[0].save(tmp_path / "m.png", save_all=True, append_images=frames[1:])
    with pytest.raises(SynthError, match="several frames"):
        given_mask(tmp_path, "m", (40, 20))


def test_a_mask_is_of_the_upright_picture_and_its_share_is_in_the_row(tmp_path):
    """The mask fits the upright parent, with or without an orientation of its own."""
    parent = factories.with_exif(orientation=6, file_format="PNG", image=Image.new("RGB", (20, 40)))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(np.rot90(np.asarray(grey(0, 255)), 1).copy())
    for image, options in ((grey(0, 255), {}), (lying, {"exif": exif})):
        written(tmp_path, image, **options)
        tools = FunctionTools()
        what = job("inpaint", parent="m", generator="painter", mask=str(tmp_path))
        made = make(what, parent, tools, origin="")
        np.testing.assert_array_equal(tools.asked[0].mask_hw, LEFT)
        assert made.notes["painted_share"] == 0.25
    written(tmp_path, Image.new("L", (20, 40)))
    with pytest.raises(SynthError, match=r"is 20x40 px and its image 40x20 px"):
        make(what, parent, tools, origin="")
