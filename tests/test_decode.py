from __future__ import annotations

import io

import factories
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from assay.data.decode import DISPLAY, PLAIN, UPRIGHT, decode_rgb
from assay.data.errors import UnreadableImage
from assay.data.image import ImageLimits
from assay.data.schema import Reason

POLICIES = [PLAIN, UPRIGHT, DISPLAY]
ODD = {
    "jpeg": factories.jpeg(),
    "cmyk": factories.cmyk_jpeg(),
    "palette": factories.palette_png(),
    "palette-transparent": factories.palette_png(transparent=True),
    "rgba": factories.rgba_png(alpha=100),
    "grey": factories.encoded(factories.photo().convert("L"), "JPEG"),
    "grey-alpha": factories.encoded(factories.noise(mode="LA"), "PNG"),
    "grey16": factories.grey16_png([0, 100, 1000, 65535]),
    "bilevel": factories.encoded(factories.photo().convert("1"), "PNG"),
    "gif": factories.gif(n_frames=3),
    "webp": factories.webp(),
    "avif": factories.avif(),
    "profile": factories.tagged_jpeg(),
    "turned": factories.with_exif(orientation=6),
}


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD.keys())
def test_plain_is_what_pillow_converts(raw):
    """PLAIN gives the very pixels of `Image.open(file).convert("RGB")`."""
    expected = Image.open(io.BytesIO(raw)).convert("RGB")
    assert np.array_equal(pixels(decode_rgb(raw, PLAIN)), np.asarray(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_exif_transpose_then_convert(orientation):
    """UPRIGHT gives the pixels of Pillow's own `exif_transpose`, for all eight turns."""
    raw = factories.with_exif(orientation=orientation, image=factories.gradient())
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(raw))).convert("RGB")
    assert np.array_equal(pixels(decode_rgb(raw, UPRIGHT)), np.asarray(expected))
    assert np.array_equal(
        pixels(decode_rgb(raw, PLAIN)), np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"))
    )


@pytest.mark.parametrize("name", ["jpeg", "cmyk", "palette", "rgba", "gif", "webp", "turned"])
def test_upright_is_what_transformers_loads(tmp_path, name):
    """UPRIGHT gives the pixels of transformers' `load_image`."""
    from transformers.image_utils import load_image

    path = tmp_path / "picture"
    path.write_bytes(ODD[name])
    assert np.array_equal(pixels(decode_rgb(ODD[name], UPRIGHT)), np.asarray(load_image(str(path))))


def test_a_turn_swaps_width_and_height_only_when_asked_for():
    """A picture lying on its side is 64 wide under UPRIGHT and 96 under PLAIN."""
    raw = factories.with_exif(orientation=6)
    assert decode_rgb(raw, PLAIN).size == (96, 64)
    assert decode_rgb(raw, UPRIGHT).size == decode_rgb(raw, DISPLAY).size == (64, 96)


def test_damaged_exif_leaves_the_picture_as_it_is():
    """Unreadable metadata is no reason to refuse a picture that decodes."""
    raw = factories.with_exif(orientation=6)
    at = raw.index(b"Exif\0\0") + 6
    damaged = raw[:at] + b"XX" + raw[at + 2 :]
    assert decode_rgb(damaged, UPRIGHT).size == (96, 64)


def test_display_lays_alpha_over_white():
    """What is invisible is white to people, and keeps its hidden colour for the detector."""
    raw = factories.rgba_png(alpha=0, colour=(200, 10, 30))
    assert decode_rgb(raw, DISPLAY).getpixel((5, 5)) == (255, 255, 255)
    assert decode_rgb(raw, PLAIN).getpixel((5, 5)) == (200, 10, 30)
    half = factories.rgba_png(alpha=128, colour=(0, 0, 0))
    assert decode_rgb(half, DISPLAY).getpixel((5, 5)) == (127, 127, 127)


def test_display_scales_sixteen_bits():
    """16-bit grey is divided by 256 for people; Pillow's conversion clips it."""
    raw = factories.grey16_png([0, 0x4000, 0x8000, 0xFFFF], size=(4, 1))
    assert [decode_rgb(raw, DISPLAY).getpixel((x, 0))[0] for x in range(4)] == [0, 64, 128, 255]
    assert [decode_rgb(raw, PLAIN).getpixel((x, 0))[0] for x in range(4)] == [0, 255, 255, 255]


def test_display_follows_a_colour_profile():
    """A profile that is not sRGB changes what people see, by what LittleCMS says."""
    lab_like = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    raw = factories.tagged_jpeg(seed=3)
    expected = ImageCms.profileToProfile(
        Image.open(io.BytesIO(raw)), lab_like, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert np.array_equal(pixels(decode_rgb(raw, DISPLAY)), np.asarray(expected))


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 128, b"x" * (5 * 2**20)])
def test_display_ignores_a_damaged_profile(profile):
    """A profile that cannot be followed leaves the colours as stored."""
    raw = factories.jpeg(icc_profile=profile)
    assert np.array_equal(pixels(decode_rgb(raw, DISPLAY)), pixels(decode_rgb(raw, PLAIN)))


def test_an_animation_gives_its_first_frame():
    """The second frame of a GIF changes nothing."""
    moving, still = factories.gif(seed=4, n_frames=2), factories.gif(seed=4)
    for policy in POLICIES:
        assert np.array_equal(pixels(decode_rgb(moving, policy)), pixels(decode_rgb(still, policy)))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("raw", ODD.values(), ids=ODD.keys())
def test_every_policy_gives_rgb(raw, policy):
    """Whatever the mode of the file, three channels of eight bits come out."""
    assert pixels(decode_rgb(raw, policy)).dtype == np.uint8


def test_decoding_obeys_the_limits():
    """A damaged or too large picture raises what `inspect_image` raises."""
    with pytest.raises(UnreadableImage) as caught:
        decode_rgb(factories.truncated(factories.jpeg()), PLAIN)
    assert caught.value.reason is Reason.TRUNCATED
    with pytest.raises(UnreadableImage, match="allowed: 10"):
        decode_rgb(factories.jpeg(), PLAIN, limits=ImageLimits(max_pixels=10))


def test_names_and_choices_of_the_policies_are_fixed():
    """Scores name these; a change of choices needs a new number."""
    assert [policy.describe() for policy in POLICIES] == [
        "plain@1: not turned, alpha dropped, 16-bit clipped, colour as-stored, first frame, RGB",
        "upright@1: turned as metadata asks, alpha dropped, 16-bit clipped, colour as-stored, "
        "first frame, RGB",
        "display@1: turned as metadata asks, alpha white, 16-bit scaled, colour srgb, "
        "first frame, RGB",
    ]
