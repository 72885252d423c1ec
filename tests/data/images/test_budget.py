"""Cost limits of one image, and metadata that never costs an image its pixels."""

from __future__ import annotations

import io
import struct
import time
import zlib

import factories
import pytest
from factories import chunk
from PIL import Image

from assay.data.errors import UnreadableImage
from assay.data.images.inspect_image import ImageLimits, inspect_image
from assay.data.images.trimming import count_scans, trim_metadata
from assay.data.vocabulary import Reason
from assay.tasks.known_items import is_settled
from assay.tasks.outcome import Sighting, Status

WORKFLOW = '{"1": {"class_type": "KSampler", "inputs": {}}, "x": "' + "y" * 1_200_000 + '"}'


def png_with(chunks: bytes) -> bytes:
    """Return a photo with chunks before its pixels."""
    raw = factories.png(seed=2)
    at = raw.index(b"IDAT") - 4
    return raw[:at] + chunks + raw[at:]


def jpeg_with(segments: bytes) -> bytes:
    """Return a photo with segments before its tables."""
    raw = factories.jpeg(seed=2)
    return raw[:2] + segments + raw[2:]


def blank(file_format: str, side_px: int, **options) -> bytes:
    return factories.encoded(Image.new("RGB", (side_px, side_px), "navy"), file_format, **options)


def refused(raw: bytes) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        inspect_image(raw)
    return caught.value


def packed_bmp(side_px: int) -> bytes:
    """Return a bitmap of run lengths that end each line at once, decoded pixel by pixel."""
    lines = b"\0\0" * side_px
    sizes = (40, side_px, side_px, 1, 8, 1, len(lines), 0, 0, 256, 0)
    offset = 14 + 40 + 1024
    head = b"BM" + struct.pack("<IHHI", offset + len(lines), 0, 0, offset)
    return head + struct.pack("<IiiHHIIiiII", *sizes) + bytes(1024) + lines


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iTXt packed"])
def test_long_text_leaves_the_pixels_and_says_who_made_them(kind):
    """A PNG with a workflow of over a megabyte is accepted, and the text is read."""
    body = (
        b"prompt\0"
        + {
            b"tEXt": WORKFLOW.encode(),
            b"zTXt": b"\0" + zlib.compress(WORKFLOW.encode()),
            b"iTXt": b"\0\0\0\0" + WORKFLOW.encode(),
            b"iTXt packed": b"\1\0\0\0" + zlib.compress(WORKFLOW.encode()),
        }[kind]
    )
    facts = inspect_image(png_with(chunk(kind[:4], body)))
    assert facts.phash == inspect_image(factories.png(seed=2)).phash
    assert facts.ai_declared == "png text: ComfyUI"


BOMB = zlib.compress(bytes(30_000_000), 9)


@pytest.mark.parametrize(
    "raw",
    [
        png_with(chunk(b"iCCP", b"p\0\0" + BOMB)),
        png_with(chunk(b"zTXt", b"k\0\0" + BOMB) * 20),
        png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB)),
        png_with(chunk(b"zTXt", b"k\0\7damaged")),
        png_with(b"".join(chunk(b"tEXt", b"key%d\0v" % n) for n in range(30_000))),
        png_with(chunk(b"prVt", b"") * 30_000),
        png_with(chunk(b"tEXt", b"parameters\0" + b"Steps: 1, " * 90_000)),
        jpeg_with(b"\xff\xfe\0\2" * 30_000),
        jpeg_with(b"\xff" * 100_000),
        jpeg_with(b"\xff\xe1\xff\xfeExif\0\0" + b"II*\0" * 16_382),
        factories.gif()[:-1] + b"\x21\xfe" + b"\1a" * 300_000 + b"\0;",
    ],
    ids=[
        *("profile bomb", "text bombs", "xmp bomb", "damaged text", "many texts", "many chunks"),
        *("many steps", "many comments", "fill bytes", "odd exif", "many blocks"),
    ],
)
def test_metadata_bounds_time_and_never_rejects_pixels(raw):
    """An image with any amount of metadata is read in bounded time."""
    started_s = time.process_time()
    facts = inspect_image(raw)
    assert time.process_time() - started_s < 2
    assert (facts.width_px, facts.height_px) == (96, 64)


def test_what_is_not_too_much_is_left_alone():
    """Ordinary files are decoded from the original bytes."""
    for name, make in factories.FORMATS.items():
        raw = make()
        assert trim_metadata(raw, name).raw is raw
    raw = factories.png_with_text({"parameters": "a cat\nSteps: 20, Sampler: Euler, Seed: 1"})
    assert trim_metadata(raw, "PNG").raw is raw


def test_a_large_profile_is_followed_and_a_giant_one_left_out():
    """A profile above one megabyte, which Pillow refuses in PNG, is applied."""
    profile = bytes(range(256)) * 5_000
    kept = trim_metadata(png_with(chunk(b"iCCP", b"p\0\0" + zlib.compress(profile))), "PNG")
    assert kept.info == {"icc_profile": profile}
    assert b"iCCP" not in kept.raw


@pytest.mark.parametrize(
    "make",
    [
        # Made in the test: every process of a test run imports this file.
        lambda: blank("AVIF", 6_000, speed=10),
        lambda: blank("WEBP", 6_000, lossless=True),
        lambda: packed_bmp(3_000),
    ],
    ids=["avif", "webp", "packed bmp"],
)
def test_a_small_file_may_not_claim_a_giant_picture(make):
    """Kilobytes that declare dozens of megapixels are refused before decoding."""
    raw = make()
    with pytest.raises(UnreadableImage) as caught:
        inspect_image(raw)
    assert caught.value.reason is Reason.TOO_MANY_PIXELS
    assert f"in a file of {len(raw)} bytes; allowed at this file size: " in caught.value.detail


def test_a_header_that_claims_more_than_the_data_hold_is_refused():
    """A JPEG with its header changed to 60,000 lines is not decoded."""
    raw = bytearray(factories.jpeg(size=(1000, 200)))
    at = raw.index(b"\xff\xc0") + 5
    raw[at : at + 2] = (60_000).to_bytes(2, "big")
    with pytest.raises(UnreadableImage, match="allowed at this file size: 3456"):
        inspect_image(bytes(raw))


def test_large_pictures_are_read():
    """A blank image of 36 megapixels in PNG and JPEG is within the limits."""
    for raw in (blank("PNG", 6_000), blank("JPEG", 6_000), blank("JPEG", 5_000, progressive=True)):
        assert inspect_image(raw).width_px in {5_000, 6_000}


def test_a_refusal_over_the_budget_is_settled_until_the_limit_changes():
    """The next run does not read such an item again, unless the limit is raised."""
    with pytest.raises(UnreadableImage) as caught:
        inspect_image(packed_bmp(3_000))
    sighting = Sighting(
        source_uri="file:///a.bmp",
        fingerprint="1",
        status=Status.REJECTED,
        reason=caught.value.reason.value,
        detail=caught.value.detail,
        image_id=None,
        domain=None,
        label=None,
        is_own=True,
    )
    assert is_settled(sighting, ImageLimits())
    assert not is_settled(sighting, ImageLimits(max_pixels=120_000_000))


def test_only_what_lies_before_the_end_of_a_jpeg_is_judged():
    """Scans in a trailing video, in comments and in thumbnails are not counted."""
    big = factories.encoded(Image.new("L", (3000, 3000), 90), "JPEG")
    fake_scans = b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 2_000
    facts = inspect_image(big + b"\0\0\0\x18ftypmp42" + fake_scans)
    assert facts.width_px == 3000
    comment = b"\xff\xfe" + (len(fake_scans) + 2).to_bytes(2, "big") + fake_scans
    assert count_scans(big[:2] + comment + big[2:]) == (1, len(big) + len(comment))
    assert count_scans(factories.scans_bomb(n_scans=600))[0] > 600


def test_a_small_file_may_not_hold_hundreds_of_scans():
    """Hundreds of passes over an image are refused; a progressive image with ten is read."""
    assert "scans of 4194304 pixels" in str(refused(factories.scans_bomb(n_scans=70)).detail)
    assert inspect_image(factories.scans_bomb(n_scans=20)).width_px == 2048


def test_scans_agree_with_what_the_encoder_wrote():
    """A baseline JPEG has one scan, a progressive colour JPEG ten, and the end is found."""
    assert count_scans(factories.jpeg()) == (1, len(factories.jpeg()))
    raw = factories.jpeg(progressive=True, size=(300, 200))
    assert count_scans(raw + b"trailer") == (10, len(raw))
    assert count_scans(raw[:-2])[1] == len(raw) - 2


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF"])
def test_files_in_millions_of_parts_are_refused(name):
    """A file with too many parts to skip is refused with that reason."""
    gif = factories.gif(size=(16, 16))
    table_end = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    raw = {
        "PNG": png_with(chunk(b"prVt", b"") * 200_001),
        "JPEG": jpeg_with(b"\xff\xfe\0\2" * 200_001),
        "GIF": gif[:table_end] + b"\x21\xfe" + b"\1a" * 2_000_001 + b"\0" + gif[table_end:],
    }[name]
    with pytest.raises(UnreadableImage, match="save it again") as caught:
        inspect_image(raw)
    assert caught.value.reason is Reason.UNREADABLE


def test_a_rejection_tells_nothing_of_the_content():
    """No bytes of a rejected file reach the tables."""
    for raw in (b"\0secret", b"root:x:0:0:\0\1", b"\x89PNG\r\n\x1a\n\0\0\0\4secret" + bytes(30)):
        with pytest.raises(UnreadableImage) as caught:
            inspect_image(raw)
        told = caught.value.detail
        assert not any(word in told for word in ("secret", "root", "73 65", "72 6f"))


def test_profile_and_text_of_a_trimmed_png_reach_the_decoder():
    """Removed profile and text are in `Image.info` under Pillow's keys."""
    text = "z" * 2_000_000
    raw = png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(text.encode())))
    trimmed = trim_metadata(raw, "PNG")
    assert trimmed.info == {"Comment": text}
    assert Image.open(io.BytesIO(trimmed.raw)).size == (96, 64)


def test_a_png_that_was_cut_behind_its_pixels_is_read():
    """A PNG truncated after its pixels is read; one truncated within them is not."""
    raw = factories.png(seed=2)
    end = raw.index(b"IEND") - 4
    whole = inspect_image(raw)
    for cut in (raw[:-3], raw[:end] + chunk(b"tEXt", b"Comment\0" + b"x" * 500)[:-90]):
        assert inspect_image(cut).phash == whole.phash
    pixels = raw.index(b"IDAT")
    for cut in (raw[: pixels + (end - pixels) // 2], raw[: end - 40] + raw[end:]):
        with pytest.raises(UnreadableImage):
            inspect_image(cut)


def test_kinds_of_bitmaps_that_are_not_read_are_no_damage():
    """A valid bitmap with unusual bit fields is unsupported, not damaged."""
    raw = factories.encoded(factories.photo().convert("RGBA"), "BMP")
    size, masks = 40, (0x7C00, 0x03E0, 0x00F8)
    head = bytearray(raw[:54])
    head[14:18], head[28:30], head[30:34] = size.to_bytes(4, "little"), b"\x10\0", b"\3\0\0\0"
    raw = bytes(head) + b"".join(mask.to_bytes(4, "little") for mask in masks) + bytes(96 * 64 * 2)
    with pytest.raises(UnreadableImage, match="save it as PNG") as caught:
        inspect_image(raw)
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT
