"""Preprocessing gives exactly the pixels of the authors' pipeline."""

import functools
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from factories import encoded, noise, photo
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from assay.data.errors import ConfigError, UnreadableImage
from assay.data.images.decode import PLAIN, UPRIGHT
from assay.data.images.inspect_image import ImageLimits
from assay.tasks.detector.inputs.preprocess import (
    MAX_WHOLE_LONG_PX,
    centre_offset,
    centre_square,
    preprocess,
    resize_window,
    resized_size,
)
from assay.tasks.detector.inputs.profiles import profile_for, profile_names

AUTHORS = profile_for("authors-imagenet", 384)


def reference(raw: bytes, resize_px: int = 440, crop_px: int = 384) -> np.ndarray:
    """Return the pixels of the authors' pipeline, made with torchvision."""
    chain = transforms.Compose(
        [
            transforms.Resize(resize_px),
            transforms.CenterCrop(crop_px),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    return chain(seen(Image.open(io.BytesIO(raw)))).numpy()


def seen(image):
    """Return the image in RGB, with transparency and 16-bit values as a person sees them."""
    if image.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "I;16":
        image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    return image.convert("RGB")


# Made when a test needs them: every process of a test run imports this file.
PICTURES = {
    "jpeg": lambda: encoded(photo(size=(801, 603)), "JPEG", quality=88),
    "portrait": lambda: encoded(photo(size=(500, 1100)), "JPEG"),
    "png": lambda: encoded(noise(size=(512, 512)), "PNG"),
    "webp": lambda: encoded(photo(size=(640, 480)), "WEBP", quality=70),
    "grey": lambda: encoded(photo(size=(450, 450)).convert("L"), "PNG"),
    "palette": lambda: encoded(photo(size=(470, 700)).quantize(32), "GIF"),
    "cmyk": lambda: encoded(photo(size=(600, 500)).convert("CMYK"), "JPEG"),
    "alpha": lambda: encoded(noise(size=(450, 460), mode="RGBA"), "PNG"),
    "16-bit": lambda: encoded(
        Image.fromarray(np.arange(500 * 450, dtype=np.uint16).reshape(500, 450)), "PNG"
    ),
    "one pixel": lambda: encoded(noise(size=(1, 1)), "PNG"),
    "1x18": lambda: encoded(noise(size=(1, 18)), "PNG"),
    "439x441": lambda: encoded(noise(size=(439, 441)), "PNG"),
    "440x440": lambda: encoded(noise(size=(440, 440)), "PNG"),
    "384x384": lambda: encoded(noise(size=(384, 384)), "PNG"),
    "383x977": lambda: encoded(noise(size=(383, 977)), "PNG"),
    "1313x440": lambda: encoded(noise(size=(1313, 440)), "PNG"),
    "7x120": lambda: encoded(noise(size=(7, 120)), "PNG"),
}


@functools.cache
def picture(name: str) -> bytes:
    """Return the file of one image."""
    return PICTURES[name]()


@pytest.mark.parametrize("name", PICTURES)
def test_pixels_equal_the_authors_pipeline(name):
    """Formats, modes and odd sizes give exactly the numbers of torchvision."""
    np.testing.assert_array_equal(preprocess(picture(name), AUTHORS), reference(picture(name)))


def test_the_small_model_resizes_to_256():
    """The authors' 224 px model has its own resize edge."""
    profile = profile_for("authors-imagenet", 224)
    raw = picture("jpeg")
    np.testing.assert_array_equal(preprocess(raw, profile), reference(raw, 256, 224))


@pytest.mark.parametrize(
    "size", [(1, 1000), (1000, 1), (3, 95), (95, 3), (45, 900), (900, 45), (500, 9700), (9700, 500)]
)
def test_very_long_pictures_match_pillow_without_being_resized_whole(size):
    """A window that is computed alone equals that window of Pillow's whole result."""
    image = noise(size=size)
    out = resized_size(size, 44)
    left, top = centre_offset(out[0], 38), centre_offset(out[1], 38)
    window = (left, top, left + 38, top + 38)
    whole = np.asarray(image.resize(out, Image.Resampling.BILINEAR).crop(window))
    np.testing.assert_array_equal(resize_window(image, out, window), whole)


@given(st.integers(1, 1600), st.integers(1, 1600))
@settings(max_examples=60, deadline=None)
def test_the_square_is_what_pillow_would_cut_from_the_whole(width_px, height_px):
    """Leaving out rows and columns beside the square changes no pixel of it."""
    image = noise(size=(width_px, height_px))
    size = resized_size(image.size, AUTHORS.resize_px)
    assume(max(size) <= MAX_WHOLE_LONG_PX)
    left, top = (centre_offset(edge, AUTHORS.crop_px) for edge in size)
    whole = image.resize(size, Image.Resampling.BILINEAR)
    square = whole.crop((left, top, left + AUTHORS.crop_px, top + AUTHORS.crop_px))
    np.testing.assert_array_equal(centre_square(image, AUTHORS), np.asarray(square))


@pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1), (20_000, 20)])
def test_very_long_pictures_cost_little(size):
    """An image of 1x10000 px, 440x4400000 px when resized whole, takes little time and memory."""
    assert max(resized_size(size, 440)) > MAX_WHOLE_LONG_PX
    assert centre_square(noise(size=size), AUTHORS).shape == (384, 384, 3)


def test_halves_are_rounded_to_even():
    """Crop offsets round halves to even, as in Python and torchvision."""
    assert [centre_offset(length, 384) for length in (440, 385, 387, 389)] == [28, 0, 2, 2]


def test_the_long_edge_is_rounded_down():
    """At a short edge of 440 px, 3x5 becomes 733 (733.3) and 5x7 becomes 616."""
    assert resized_size((3, 5), 440) == (440, 733)
    assert resized_size((7, 5), 440) == (616, 440)


def test_the_clip_profile_differs_in_normalisation_and_turn():
    """The hub's port needs CLIP's mean; the geometry is the authors'."""
    profile = profile_for("hf-clip", 384)
    raw = picture("png")
    ours, theirs = preprocess(raw, profile), reference(raw)
    std, mean = (
        np.array([0.26862954, 0.26130258, 0.27577711]),
        np.array([0.48145466, 0.4578275, 0.40821073]),
    )
    plain = (
        theirs * np.array([0.229, 0.224, 0.225])[:, None, None]
        + np.array([0.485, 0.456, 0.406])[:, None, None]
    )
    np.testing.assert_allclose(ours, (plain - mean[:, None, None]) / std[:, None, None], atol=1e-5)
    assert (profile.decode, AUTHORS.decode) == (UPRIGHT, PLAIN)


def test_exif_turns_only_in_the_profile_that_says_so():
    """The authors never rotate an image; loaders of transformers do."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = noise(size=(600, 500))
    raw = encoded(image, "JPEG", quality=95, exif=exif)
    as_stored, turned = (
        preprocess(raw, profile_for(n, 384)) for n in ("authors-imagenet", "hf-clip")
    )
    np.testing.assert_array_equal(as_stored, reference(raw))
    assert np.corrcoef(np.rot90(as_stored, -1, (1, 2)).ravel(), turned.ravel())[0, 1] > 0.99
    assert np.corrcoef(as_stored.ravel(), turned.ravel())[0, 1] < 0.5


def test_descriptions_name_every_choice_and_differ():
    """The description stored with a score identifies profile and size."""
    texts = {profile_for(n, px).describe() for n in profile_names() for px in (224, 384)}
    assert len(texts) == 4
    assert AUTHORS.describe() == (
        "authors-imagenet: plain@2, short edge 440 px bilinear antialiased, centre 384 px, "
        "mean 0.485 0.456 0.406, std 0.229 0.224 0.225"
    )


def test_unknown_profile():
    """The message lists the available profiles."""
    with pytest.raises(ConfigError, match="authors-imagenet, hf-clip"):
        profile_for("imagenet", 384)


def test_limits_reach_the_decoder():
    """An image beyond the limits is refused before it is decoded."""
    with pytest.raises(UnreadableImage, match="too_many_pixels"):
        preprocess(picture("jpeg"), AUTHORS, ImageLimits(max_pixels=1000))


def test_result_is_ready_for_torch():
    """The result is contiguous float32 with channels first."""
    tensor = torch.from_numpy(preprocess(picture("grey"), AUTHORS))
    assert tensor.is_contiguous()
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.float32, (3, 384, 384))


@given(st.integers(1, 1600), st.integers(1, 1600))
@settings(max_examples=30, deadline=None)
def test_bicubic_squares_are_pillows_too(width_px, height_px):
    """The wider bicubic filter keeps the square equal to Pillow's."""
    profile = replace(AUTHORS, interpolation="bicubic")
    image = noise(size=(width_px, height_px))
    size = resized_size(image.size, profile.resize_px)
    assume(max(size) <= MAX_WHOLE_LONG_PX)
    left, top = (centre_offset(edge, profile.crop_px) for edge in size)
    whole = image.resize(size, Image.Resampling.BICUBIC)
    square = whole.crop((left, top, left + profile.crop_px, top + profile.crop_px))
    np.testing.assert_array_equal(centre_square(image, profile), np.asarray(square))


@pytest.mark.parametrize("size", [(1, 1000), (1000, 1), (45, 900), (900, 45), (500, 9700)])
def test_bicubic_windows_of_very_long_pictures_are_pillows(size):
    """A window with negative weights equals Pillow's."""
    image, out = noise(size=size), resized_size(size, 44)
    left, top = centre_offset(out[0], 38), centre_offset(out[1], 38)
    window = (left, top, left + 38, top + 38)
    whole = np.asarray(image.resize(out, Image.Resampling.BICUBIC).crop(window))
    found = resize_window(image, out, window, Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found, whole)


def test_stretched_squares_are_those_of_a_plain_resize():
    """Both edges get the same length, whatever the shape of the image."""
    profile = replace(AUTHORS, fit="stretch", resize_px=64, crop_px=64)
    image = noise(size=(300, 90))
    expected = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(centre_square(image, profile), expected)
    assert "both edges 64 px bilinear antialiased" in profile.describe()
