"""Images in memory keep every pixel, and the bytes of their file where it is at hand."""

import io
from pathlib import Path

import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from assay.data.errors import InputError, UnreadableImage
from assay.data.images.held import check_array, digest_of, encoded, original_bytes
from assay.data.images.limits import ImageLimits
from assay.data.vocabulary import Reason


def reopened(raw: bytes) -> Image.Image:
    return Image.open(io.BytesIO(raw))


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([(), (1,), (2,), (3,), (4,)]),
    st.integers(0, 2**32 - 1),
)
def test_an_array_is_read_back_as_it_was(height_px, width_px, channels, seed):
    """For any size and number of channels, also for a view with gaps."""
    shape = (height_px, 2 * width_px, *channels)
    array = np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)[:, ::2]
    raw = encoded(array)
    assert np.array_equal(
        np.asarray(reopened(raw)), array.squeeze(2) if channels == (1,) else array
    )
    assert encoded(array.copy()) == raw


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "I;16"])
def test_a_pillow_image_is_read_back_as_it_was(mode):
    """In each mode that PNG holds."""
    image = Image.fromarray((np.arange(48).reshape(6, 8) * 999).astype("uint16"))
    image = image if mode == "I;16" else factories.noise(mode="RGBA").convert(mode)
    again = reopened(encoded(image))
    assert (again.mode, again.tobytes()) == (mode, image.tobytes())


def test_a_palette_keeps_its_colours_and_its_transparency():
    """As RGB, or RGBA where a colour is transparent."""
    image = factories.photo().quantize(8)
    again = reopened(encoded(image))
    assert again.mode == "RGB"
    assert again.tobytes() == image.convert("RGB").tobytes()
    image.info["transparency"] = 0
    again = reopened(encoded(image))
    assert again.mode == "RGBA"
    assert again.tobytes() == image.convert("RGBA").tobytes()


def test_a_profile_stays_and_other_metadata_goes():
    """Without its profile an image has other colours; its camera is no pixel."""
    image = factories.photo()
    image.info = {"icc_profile": b"profile", "comment": b"secret", "exif": b"Exif\0\0secret"}
    raw = encoded(image)
    assert reopened(raw).info["icc_profile"] == b"profile"
    assert b"secret" not in raw


@pytest.mark.parametrize("mode", ["CMYK", "F", "HSV", "I", "LAB", "YCbCr"])
def test_a_mode_without_a_lossless_file_is_refused(mode):
    """The reason says how to convert it."""
    with pytest.raises(UnreadableImage, match=rf"mode {mode}.*convert") as refused:
        encoded(Image.new(mode, (4, 4)))
    assert refused.value.reason is Reason.UNSUPPORTED_FORMAT


def test_limits_hold_before_an_image_is_encoded():
    """By its number of pixels."""
    with pytest.raises(UnreadableImage) as refused:
        encoded(Image.new("RGB", (11, 10)), ImageLimits(max_pixels=100))
    assert refused.value.reason is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("is_loaded", [False, True])
def test_an_image_opened_from_a_file_keeps_the_bytes_of_the_file(tmp_path, is_loaded):
    """Before and after its pixels are loaded; it can still be loaded afterwards."""
    path = tmp_path / "a.jpg"
    path.write_bytes(raw := factories.jpeg(seed=1))
    image = Image.open(path)
    if is_loaded:
        image.load()
    assert encoded(image) == raw
    assert image.tobytes() == reopened(raw).tobytes()


def test_an_open_stream_is_a_file_until_it_is_loaded():
    """Then its bytes are gone, and the pixels remain."""
    raw = factories.jpeg(seed=1)
    image = reopened(raw)
    assert encoded(image) == raw
    image.load()
    assert original_bytes(image) is None
    assert reopened(encoded(image)).tobytes() == image.tobytes()


def test_an_image_that_was_closed_before_it_was_loaded_is_its_file(tmp_path):
    """As after a `with` block; without the file it is damaged, and still has a hash."""
    path = tmp_path / "a.jpg"
    path.write_bytes(raw := factories.jpeg(seed=1))
    with Image.open(path) as image:
        pass
    assert encoded(image) == raw
    path.unlink()
    assert len(digest_of(image)) == 24
    with pytest.raises(UnreadableImage) as refused:
        encoded(image)
    assert refused.value.reason is Reason.UNREADABLE


def changed_pixel(image):
    image.putpixel((3, 3), (255, 0, 0))
    return image


def shrunk(image):
    image.thumbnail((20, 20))
    return image


def drafted(image):
    image.draft("RGB", (40, 30))
    return image


def replaced(image):
    image.load()
    Path(image.filename).write_bytes(factories.jpeg(seed=2))
    return image


def removed(image):
    image.load()
    Path(image.filename).unlink()
    return image


@pytest.mark.parametrize(
    "change", [changed_pixel, shrunk, drafted, replaced, removed, ImageOps.mirror]
)
def test_an_image_that_differs_from_its_file_is_its_pixels(tmp_path, change):
    """What is held counts, not what lies at the path it once came from."""
    path = tmp_path / "a.jpg"
    path.write_bytes(factories.jpeg(seed=1, size=(160, 120)))
    image = change(Image.open(path))
    again = reopened(encoded(image))
    assert again.format == "PNG"
    assert again.tobytes() == image.tobytes()


def test_a_later_frame_is_its_pixels(tmp_path):
    """The file would show its first frame."""
    path = tmp_path / "a.gif"
    frames = [factories.photo(seed=seed) for seed in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    image = Image.open(path)
    assert original_bytes(image) == path.read_bytes()
    image.seek(1)
    assert original_bytes(image) is None


def test_a_hash_changes_with_a_pixel_and_with_the_shape():
    """And with nothing else."""
    array = np.zeros((4, 6), np.uint8)
    changed = array.copy()
    changed[1, 1] = 1
    digests = [digest_of(one) for one in (array, changed, array.reshape(6, 4))]
    assert len(set(digests)) == 3
    assert digest_of(array.copy()) == digests[0]
    images = [Image.fromarray(array), Image.fromarray(changed), Image.fromarray(array).convert("P")]
    assert len({digest_of(image) for image in images}) == 3


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), r"x is an array of float32.*\(255 \* x\)"),
        (np.zeros((4, 4), np.float64), "x is an array of float64"),
        (np.zeros((4, 4), np.int64), r"x is an array of int64.*astype\('uint8'\)"),
        (np.zeros((4, 4), bool), "x is an array of bool"),
        (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\).*transpose\(1, 2, 0\)"),
        (np.zeros((8, 8, 5), np.uint8), r"shape \(8, 8, 5\)"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
        (np.zeros(8, np.uint8), r"shape \(8,\)"),
    ],
)
def test_an_array_that_is_no_image_is_refused_in_words(array, words):
    """The message says what was seen, what is allowed and how to convert it."""
    with pytest.raises(InputError, match=words) as refused:
        check_array(array, "x")
    assert "allowed: uint8 arrays" in str(refused.value)
