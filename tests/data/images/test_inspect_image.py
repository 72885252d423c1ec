from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import factories
import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from assay.data.errors import UnreadableImage
from assay.data.images.frames import MAX_FRAMES
from assay.data.images.inspect_image import ImageFacts, ImageLimits, inspect_image
from assay.data.vocabulary import Reason


def refusal(raw: bytes, limits: ImageLimits | None = None) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        inspect_image(raw, limits=limits or ImageLimits())
    assert len(caught.value.detail) <= 200
    return caught.value


@pytest.mark.parametrize("file_format", sorted(factories.FORMATS))
def test_facts_agree_with_pillow_hashlib_and_imagehash(file_format):
    """Facts of every accepted format equal those of the libraries."""
    raw = factories.FORMATS[file_format](seed=5, size=(90, 61))
    image = Image.open(io.BytesIO(raw))
    facts = inspect_image(raw)
    assert facts.image_id == hashlib.sha256(raw).hexdigest()
    assert facts.phash == str(imagehash.phash(image))
    assert (facts.width_px, facts.height_px) == (90, 61)
    assert (facts.format, facts.mode, facts.n_bytes) == (file_format, image.mode, len(raw))
    assert (facts.n_frames, facts.capture, facts.ai_declared) == (1, None, None)
    assert (facts.jpeg_quality is None) == (file_format != "JPEG")


@pytest.mark.parametrize(
    "raw",
    [
        factories.cmyk_jpeg(),
        factories.palette_png(),
        factories.encoded(factories.photo().convert("RGBA"), "PNG"),
        factories.encoded(Image.new("1", (40, 30), 1), "PNG"),
        factories.encoded(factories.photo().convert("LA"), "PNG"),
        factories.encoded(Image.new("L", (1, 1)), "JPEG"),
    ],
    ids=["cmyk", "palette", "opaque-rgba", "bilevel", "opaque-grey-alpha", "one-pixel"],
)
def test_the_perceptual_hash_is_that_of_imagehash_in_every_mode(raw):
    """Images in unusual modes have the hash of the untouched Pillow image."""
    assert inspect_image(raw).phash == str(imagehash.phash(Image.open(io.BytesIO(raw))))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_perceptual_hash_is_of_upright_pixels(file_format, orientation):
    """An image with an EXIF orientation has the hash of its upright copy."""
    image = factories.photo(size=(96, 64))
    raw = factories.with_exif(orientation=orientation, image=image, file_format=file_format)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(raw)))
    assert inspect_image(raw).phash == str(imagehash.phash(expected.convert("L")))
    assert (inspect_image(raw).width_px, inspect_image(raw).height_px) == (
        Image.open(io.BytesIO(raw)).size
    )


def test_twins_of_which_one_is_deep_or_transparent_hash_alike():
    """16-bit and transparent images hash like their 8-bit and composited twins."""
    grey = factories.photo(seed=3, size=(200, 150)).convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 256 + 77)
    plain = inspect_image(factories.encoded(grey, "PNG")).phash
    assert inspect_image(factories.encoded(deep, "PNG")).phash == plain
    cut_out = factories.photo(seed=4, size=(200, 150)).convert("RGBA")
    cut_out.putalpha(grey)
    white = Image.alpha_composite(Image.new("RGBA", cut_out.size, "white"), cut_out)
    assert inspect_image(factories.encoded(cut_out, "PNG")).phash == str(
        imagehash.phash(white.convert("RGB"))
    )


@pytest.mark.parametrize("quality", [*range(1, 101, 3), 100])
def test_the_jpeg_quality_is_the_one_it_was_saved_with(quality):
    """The estimate is exact for libjpeg's own tables, in colour and in grey."""
    assert inspect_image(factories.jpeg(quality=quality)).jpeg_quality == quality
    grey = factories.encoded(factories.photo().convert("L"), "JPEG", quality=quality)
    assert inspect_image(grey).jpeg_quality == quality


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"hello, this is a text\n", Reason.NOT_AN_IMAGE),
        (b"BMW is a car, not a bitmap", Reason.NOT_AN_IMAGE),
        (b"\x00\x01\x02\x03 nothing known", Reason.NOT_AN_IMAGE),
        (b"<!DOCTYPE html><html></html>", Reason.NOT_AN_IMAGE),
        (b"PK\x03\x04" + bytes(40), Reason.NOT_AN_IMAGE),
        (b"\x00\x00\x00\x18ftypisom" + bytes(40), Reason.NOT_AN_IMAGE),
        (b"\x00\x00\x00\x18ftypheic\0\0\0\0mif1heic", Reason.UNSUPPORTED_FORMAT),
        (b"II*\x00" + bytes(40), Reason.UNSUPPORTED_FORMAT),
        (b"\xff\x0a" + bytes(40), Reason.UNSUPPORTED_FORMAT),
        (b"8BPS\0\1" + bytes(40), Reason.UNSUPPORTED_FORMAT),
        (b"%PDF-1.7\n", Reason.UNSUPPORTED_FORMAT),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.UNSUPPORTED_FORMAT),
        (b"<?xml version='1.0'?>\n<svg/>", Reason.UNSUPPORTED_FORMAT),
        (b"P6 1 1 255 abc", Reason.UNSUPPORTED_FORMAT),
        (b"\xff\xd8\xff\xe0" + bytes(20) + b"\xff\xd9", Reason.UNREADABLE),
    ],
)
def test_the_reason_tells_what_kind_of_file_it_is_not(raw, reason):
    """Empty, foreign, unsupported and broken files have different reasons."""
    assert refusal(raw).reason is reason


def test_the_detail_names_the_format_and_what_to_do():
    """A refused format is named with the accepted ones; an archive with what to do."""
    real_tiff = factories.encoded(factories.photo(), "TIFF")
    assert refusal(real_tiff).detail.startswith("TIFF; accepted: JPEG, PNG")
    assert "name it as a SOURCE" in refusal(b"PK\x03\x04" + bytes(40)).detail


def test_formats_are_a_choice():
    """A format is read exactly if the limits name it."""
    tiff = factories.encoded(factories.photo(), "TIFF")
    assert inspect_image(tiff, limits=ImageLimits(formats=("TIFF",))).format == "TIFF"
    tga = factories.encoded(factories.photo(), "TGA")
    assert inspect_image(tga, limits=ImageLimits(formats=("TGA", "JPEG"))).format == "TGA"
    only_png = ImageLimits(formats=("PNG",))
    assert refusal(factories.jpeg(), only_png).reason is Reason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("file_format", sorted(factories.FORMATS))
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_is_truncated(file_format, share):
    """Half a file of any format has the reason `truncated`."""
    raw = factories.truncated(factories.FORMATS[file_format](seed=3), share=share)
    assert refusal(raw).reason is Reason.TRUNCATED


def test_limits_are_checked_before_decoding():
    """Bytes, pixels and scans above the limits are refused without decoding."""
    raw = factories.png(size=(100, 100))
    assert refusal(raw, ImageLimits(max_pixels=9_999)).detail == (
        "100x100 px = 10000 pixels; allowed: 9999"
    )
    assert inspect_image(raw, limits=ImageLimits(max_pixels=10_000)).width_px == 100
    assert refusal(raw, ImageLimits(max_bytes=len(raw) - 1)).reason is Reason.TOO_MANY_BYTES
    assert inspect_image(raw, limits=ImageLimits(max_bytes=len(raw))).n_bytes == len(raw)
    assert refusal(factories.png_bomb()).reason is Reason.TOO_MANY_PIXELS
    # Just above the limit, where Pillow itself only warns.
    assert refusal(factories.png_bomb(width=10_000, height=10_001)).detail.startswith("10000x10001")
    assert "scans" in refusal(factories.scans_bomb(n_scans=600)).detail


def test_an_ordinary_progressive_jpeg_passes():
    """A progressive JPEG with its usual ten scans is accepted."""
    assert inspect_image(factories.jpeg(size=(400, 300), progressive=True)).width_px == 400


def test_frames_are_counted_without_decoding_them():
    """GIF, WebP and PNG frames are counted; a GIF of a million frames stops the count."""
    assert inspect_image(factories.gif(n_frames=3)).n_frames == 3
    first, second = factories.photo(seed=1), factories.photo(seed=2)
    for file_format in ("WEBP", "PNG", "AVIF"):
        raw = factories.encoded(first, file_format, save_all=True, append_images=[second])
        assert inspect_image(raw).n_frames == 2
    still = factories.gif()
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\x02\x02\x4c\x01\0"
    many = still[:-1] + frame * (MAX_FRAMES + 50) + b";"
    assert inspect_image(many).n_frames == MAX_FRAMES


def test_a_jpeg_with_more_pictures_inside_is_a_jpeg():
    """A JPEG with further images inside (MPO) is a JPEG with its frames counted."""
    pictures = [factories.photo(seed=1), factories.photo(seed=2)]
    raw = factories.encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    facts = inspect_image(raw)
    assert (facts.format, facts.n_frames) == ("JPEG", 2)


NOISY = [
    factories.palette_png(transparent=True),
    factories.with_exif(tags={0x010F: "A"})[:-400] + b"\xff\xd9",
    # A palette whose transparency is given in bytes makes Pillow warn at every conversion.
    factories.encoded(factories.photo().quantize(4), "PNG", transparency=b"\0\x80\xff\xff"),
    factories.truncated(factories.png()),
    factories.png_bomb(width=9_400, height=9_600),
]


def test_nothing_is_printed_and_no_warning_escapes():
    """Damaged files print nothing, even if warnings are errors."""
    code = (
        "import sys; from assay.data.images.inspect_image import inspect_image\n"
        "from assay.data.errors import UnreadableImage\n"
        "import ast\n"
        "for raw in ast.literal_eval(sys.stdin.read()):\n"
        "    try: inspect_image(raw)\n"
        "    except UnreadableImage: pass\n"
    )
    for flags in ([], ["-W", "error"], ["-W", "always"]):
        done = subprocess.run(
            [sys.executable, *flags, "-c", code],
            input=repr(NOISY).encode(),
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_warnings_of_others_are_left_alone():
    """Other threads see their own warnings while one thread opens images."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(2) as pool:
            work = pool.submit(lambda: [inspect_image(NOISY[0]) for _ in range(50)])
            for _ in range(50):
                warnings.warn("mine", stacklevel=1)
            work.result()
    assert [str(w.message) for w in seen] == ["mine"] * 50


def test_threads_agree_with_one_another():
    """The same images give the same facts in eight threads at once."""
    raws = [make(seed=seed) for make in factories.FORMATS.values() for seed in range(5)]
    alone = [inspect_image(raw) for raw in raws]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(inspect_image, raws * 4)) == alone * 4


SAMPLES = [make(seed=7, size=(24, 18)) for make in factories.FORMATS.values()] + [
    factories.with_exif(
        orientation=6,
        tags={0x010F: "Maker", 0x0110: "Model"},
        exif_ifd={0x9286: b"ASCII\0\0\0hello"},
        image=factories.photo(size=(24, 18)),
    ),
    factories.png_with_text({"parameters": "a cat\nSteps: 20, Sampler: Euler, Seed: 1"}),
    factories.gif(n_frames=3, size=(16, 16)),
    factories.tagged_jpeg(),
]


def facts_or_refusal(raw: bytes) -> ImageFacts | Reason:
    try:
        return inspect_image(raw, limits=ImageLimits(max_pixels=1_000_000))
    except UnreadableImage as error:
        return error.reason


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_facts_or_a_refusal(raw):
    """Arbitrary bytes raise nothing but `UnreadableImage`."""
    facts_or_refusal(raw)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([raw[:n] for raw in SAMPLES for n in (4, 12, 30)]),
    st.binary(max_size=200),
)
def test_bytes_behind_a_true_beginning_give_facts_or_a_refusal(head, rest):
    """Garbage after the header of an image raises nothing but `UnreadableImage`."""
    facts_or_refusal(head + rest)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 10**6),
)
def test_mutated_pictures_give_facts_or_a_refusal(raw, changes, cut):
    """Images with flipped or missing bytes raise nothing but `UnreadableImage`."""
    damaged = bytearray(raw)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    facts_or_refusal(bytes(damaged[: len(damaged) - cut % 3 * 40]))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_facts_survive_the_round_trip_through_a_lossless_file(width, height, seed):
    """A losslessly saved image keeps the size and hash of its pixels."""
    image = factories.noise(seed=seed, size=(width, height))
    facts = inspect_image(factories.encoded(image, "PNG"))
    assert (facts.width_px, facts.height_px) == (width, height)
    assert facts.phash == str(imagehash.phash(image))
