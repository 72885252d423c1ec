from __future__ import annotations

import io

import factories
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from assay.data.errors import UnreadableImage
from assay.data.images.decode import DISPLAY, PLAIN, UPRIGHT, decode_rgb
from assay.data.images.inspect_image import ImageLimits
from assay.data.vocabulary import Reason

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


SHOWN_BY_PILLOW = [
    name for name in ODD if name not in {"palette-transparent", "rgba", "grey-alpha", "grey16"}
]


@pytest.mark.parametrize("name", SHOWN_BY_PILLOW)
def test_plain_is_what_pillow_converts(name):
    """PLAIN gives the pixels of `Image.open(file).convert("RGB")` for opaque 8-bit images."""
    raw = ODD[name]
    expected = Image.open(io.BytesIO(raw)).convert("RGB")
    assert np.array_equal(pixels(decode_rgb(raw, PLAIN)), np.asarray(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_exif_transpose_then_convert(orientation):
    """UPRIGHT gives the pixels of Pillow's `exif_transpose` for all eight orientations."""
    raw = factories.with_exif(orientation=orientation, image=factories.gradient())
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(raw))).convert("RGB")
    assert np.array_equal(pixels(decode_rgb(raw, UPRIGHT)), np.asarray(expected))
    assert np.array_equal(
        pixels(decode_rgb(raw, PLAIN)), np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"))
    )


@pytest.mark.parametrize("name", ["jpeg", "cmyk", "palette", "gif", "webp", "turned"])
def test_upright_is_what_transformers_loads(tmp_path, name):
    """UPRIGHT gives the pixels of transformers' `load_image`."""
    from transformers.image_utils import load_image

    path = tmp_path / "picture"
    path.write_bytes(ODD[name])
    assert np.array_equal(pixels(decode_rgb(ODD[name], UPRIGHT)), np.asarray(load_image(str(path))))


def test_a_turn_swaps_width_and_height_only_when_asked_for():
    """An image with a quarter turn is 64 px wide under UPRIGHT and 96 px under PLAIN."""
    raw = factories.with_exif(orientation=6)
    assert decode_rgb(raw, PLAIN).size == (96, 64)
    assert decode_rgb(raw, UPRIGHT).size == decode_rgb(raw, DISPLAY).size == (64, 96)


def test_damaged_exif_leaves_the_picture_as_it_is():
    """An image with unreadable metadata is accepted and not turned."""
    raw = factories.with_exif(orientation=6)
    at = raw.index(b"Exif\0\0") + 6
    damaged = raw[:at] + b"XX" + raw[at + 2 :]
    assert decode_rgb(damaged, UPRIGHT).size == (96, 64)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_what_is_transparent_is_laid_over_white(policy):
    """Transparent pixels are decoded as white; opaque alpha changes nothing."""
    raw = factories.rgba_png(alpha=0, colour=(200, 10, 30))
    assert decode_rgb(raw, policy).getpixel((5, 5)) == (255, 255, 255)
    half = factories.rgba_png(alpha=128, colour=(0, 0, 0))
    assert decode_rgb(half, policy).getpixel((5, 5)) == (127, 127, 127)
    opaque = factories.rgba_png(alpha=255, colour=(200, 10, 30))
    assert decode_rgb(opaque, policy).getpixel((5, 5)) == (200, 10, 30)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L", "1", "I;16"])
def test_every_way_to_be_transparent_is_laid_over_white(mode):
    """An alpha channel, palette transparency and a colour key are all composited over white."""
    black = np.zeros((4, 8), np.uint8)
    black[:, 4:] = 100
    if mode in {"RGBA", "LA"}:
        image = Image.fromarray(black).convert(mode)
        image.putalpha(Image.fromarray(np.where(black == 0, 0, 255).astype(np.uint8)))
        raw = factories.encoded(image, "PNG")
    elif mode == "P":
        image = Image.fromarray(black, "P")
        image.putpalette([value for grey in range(256) for value in (grey, grey, grey)])
        raw = factories.encoded(image, "PNG", transparency=0)
    elif mode == "I;16":
        raw = factories.encoded(Image.fromarray(black.astype(np.uint16) * 257), "PNG")
        header = raw.index(b"IDAT") - 4
        raw = raw[:header] + factories.chunk(b"tRNS", b"\0\0") + raw[header:]
    else:
        image = Image.fromarray(black).convert(mode, dither=Image.Dither.NONE)
        image = image.point(lambda value: 255 * (value > 0)) if mode == "1" else image
        raw = factories.encoded(image, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    shown = pixels(decode_rgb(raw, PLAIN))
    assert (shown[:, :4] == 255).all()
    assert np.array_equal(shown[:, 4:], pixels(decode_rgb(raw, UPRIGHT))[:, 4:])
    assert (shown[:, 4:] == (100 if mode != "1" else shown[0, 4])).all()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_sixteen_bits_keep_their_upper_eight(policy):
    """16-bit grey is divided by 256, where Pillow's conversion would clip it at 255."""
    raw = factories.grey16_png([0, 0x4000, 0x8000, 0xFFFF], size=(4, 1))
    assert [decode_rgb(raw, policy).getpixel((x, 0))[0] for x in range(4)] == [0, 64, 128, 255]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([[0, 0x8000, 0xFFFF]], np.int32), [0, 128, 255]),
        (np.array([[0, 2**19, 2**20]], np.int32), [0, 127, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 127, 255]),
        (np.array([[np.nan, 0x4000, 0x8000]], np.float32), [0, 64, 128]),
    ],
    ids=["16 bits", "20 bits", "fractions", "floats"],
)
def test_numbers_of_32_bits_become_grey(samples, expected):
    """32-bit samples of an accepted format are scaled, not clipped."""
    raw = factories.encoded(Image.fromarray(samples), "TIFF")
    shown = decode_rgb(raw, PLAIN, limits=ImageLimits(formats=("TIFF",)))
    assert pixels(shown)[0, :, 0].tolist() == expected


def test_display_follows_a_colour_profile():
    """DISPLAY converts by a profile other than sRGB, as LittleCMS does."""
    lab_like = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    raw = factories.tagged_jpeg(seed=3)
    expected = ImageCms.profileToProfile(
        Image.open(io.BytesIO(raw)), lab_like, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert np.array_equal(pixels(decode_rgb(raw, DISPLAY)), np.asarray(expected))


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 128, b"x" * (5 * 2**20)])
def test_display_ignores_a_damaged_profile(profile):
    """An unusable profile leaves the colours as stored."""
    raw = factories.jpeg(icc_profile=profile)
    assert np.array_equal(pixels(decode_rgb(raw, DISPLAY)), pixels(decode_rgb(raw, PLAIN)))


def test_an_animation_gives_its_first_frame():
    """The second frame of a GIF has no effect."""
    moving, still = factories.gif(seed=4, n_frames=2), factories.gif(seed=4)
    for policy in POLICIES:
        assert np.array_equal(pixels(decode_rgb(moving, policy)), pixels(decode_rgb(still, policy)))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("raw", ODD.values(), ids=ODD.keys())
def test_every_policy_gives_rgb(raw, policy):
    """Every mode is decoded to three channels of eight bits."""
    assert pixels(decode_rgb(raw, policy)).dtype == np.uint8


def test_decoding_obeys_the_limits():
    """A damaged or too large image raises the error of `inspect_image`."""
    with pytest.raises(UnreadableImage) as caught:
        decode_rgb(factories.truncated(factories.jpeg()), PLAIN)
    assert caught.value.reason is Reason.TRUNCATED
    with pytest.raises(UnreadableImage, match="allowed: 10"):
        decode_rgb(factories.jpeg(), PLAIN, limits=ImageLimits(max_pixels=10))


def test_names_and_choices_of_the_policies_are_fixed():
    """Scores refer to these names; changed choices need a new version number."""
    shared = "transparency over white, 16 bits scaled to 8"
    assert [policy.describe() for policy in POLICIES] == [
        f"plain@2: not turned, {shared}, colour as-stored, first frame, RGB",
        f"upright@2: turned as metadata asks, {shared}, colour as-stored, first frame, RGB",
        f"display@1: turned as metadata asks, {shared}, colour srgb, first frame, RGB",
    ]
