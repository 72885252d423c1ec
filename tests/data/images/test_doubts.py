"""Images that viewers may show differently from the scored pixels are marked, and never cleared."""

from __future__ import annotations

import io
import zlib

import factories
import numpy as np
import polars as pl
import pytest
from factories import chunk
from PIL import Image, ImageCms

from assay.data.images.frames import frame_durations_ms
from assay.data.images.inspect_image import UPRIGHT_PIXELS, inspect_image
from assay.data.vocabulary import Doubt
from assay.tasks.decide.decide import decide
from assay.tasks.decide.policy_file import load_policy

PHOTO = factories.photo(seed=5, size=(120, 80))
OTHER = factories.photo(seed=6, size=(120, 80))
BLANK = Image.new("RGB", PHOTO.size, "white")


def rgba(alpha: np.ndarray | int, colours: Image.Image = PHOTO) -> Image.Image:
    image = colours.convert("RGB")
    if isinstance(alpha, int):
        alpha = np.full((image.height, image.width), alpha)
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


def disc(soft_px: float = 1.5) -> np.ndarray:
    """Return an alpha channel that is opaque within a circle with a soft edge."""
    y, x = np.mgrid[:80, :120]
    return np.clip((36 - np.hypot(x - 60, y - 40)) / soft_px + 0.5, 0, 1) * 255


def animation(
    file_format: str, frames: list[Image.Image], durations_ms: list[int], **more
) -> bytes:
    return factories.encoded(
        frames[0],
        file_format,
        save_all=True,
        append_images=frames[1:],
        duration=durations_ms,
        loop=0,
        **more,
    )


def doubt(raw: bytes) -> str | None:
    return inspect_image(raw).doubt


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (PHOTO, None),
        (rgba(255), None),
        (rgba(disc()), None),
        (rgba(0), Doubt.TRANSPARENT),
        (rgba(128), Doubt.TRANSPARENT),
        (rgba(np.asarray(PHOTO.convert("L"))), Doubt.TRANSPARENT),
        (rgba(np.asarray(PHOTO.convert("L")), Image.new("L", PHOTO.size)), Doubt.TRANSPARENT),
        (rgba(disc(), Image.new("L", PHOTO.size, 255)), Doubt.TRANSPARENT),
    ],
    ids=[
        *("photo", "opaque", "cut out", "all clear", "half clear"),
        *("photo as alpha", "black photo as alpha", "white shape"),
    ],
)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_what_depends_on_the_background_is_told(image, expected, file_format):
    """Content in the alpha channel and veils are marked; cut-out and opaque objects are not."""
    assert doubt(factories.encoded(image, file_format, lossless=True)) == expected


def test_a_16_bit_picture_with_alpha_is_judged_like_its_twin():
    """16-bit grey with a colour key over all of it counts as transparent."""
    raw = factories.grey16_png([7, 7], size=(40, 40))
    at = raw.index(b"IDAT") - 4
    assert doubt(raw) is None
    assert doubt(raw[:at] + chunk(b"tRNS", b"\0\7") + raw[at:]) == Doubt.TRANSPARENT


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_a_blank_or_brief_first_frame_is_told(file_format):
    """An animation with a blank or very short first frame is marked."""
    assert doubt(animation(file_format, [PHOTO, OTHER], [100, 100])) is None
    assert doubt(animation(file_format, [BLANK, PHOTO], [100, 100])) == Doubt.BLANK_FRAME
    assert doubt(animation(file_format, [PHOTO, OTHER], [20, 5000])) == Doubt.BRIEF_FRAME
    assert doubt(animation(file_format, [PHOTO, OTHER] * 8, [100] * 16)) is None
    others = [OTHER, factories.photo(seed=9).resize(PHOTO.size)]
    assert doubt(animation(file_format, [PHOTO, *others], [20, 1000, 1000])) == Doubt.BRIEF_FRAME
    assert doubt(factories.encoded(BLANK, file_format)) is None


def test_a_still_picture_that_the_animation_never_shows_is_told():
    """An animated PNG with a default image outside its frames is marked."""
    raw = animation("PNG", [PHOTO, OTHER, OTHER], [100, 100], default_image=True)
    assert doubt(raw) == Doubt.NOT_A_FRAME


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_durations_are_those_that_were_written(file_format):
    """Durations are read from the file's structure; at most 10 ms counts as 100 ms."""
    frames = [factories.photo(seed=n) for n in range(4)]
    raw = animation(file_format, frames, [50, 120, 10, 2000])
    assert frame_durations_ms(raw, file_format) == [50, 120, 100, 2000]
    half = [50] if file_format != "AVIF" else [50, 120, 100, 2000]  # its times come first
    assert frame_durations_ms(raw[: len(raw) // 2], file_format)[: len(half)] == half


def inverting_profile() -> bytes:
    """Return a grey profile with a curve from white to black."""
    curve = b"curv" + bytes(4) + (256).to_bytes(4, "big")
    curve += b"".join((65535 - 257 * n).to_bytes(2, "big") for n in range(256))
    white = (
        b"XYZ "
        + bytes(4)
        + b"".join(int(v * 65536).to_bytes(4, "big") for v in (0.9642, 1, 0.8249))
    )
    text = b"desc" + bytes(4) + (2).to_bytes(4, "big") + b"x\0" + bytes(78)
    tags, body = b"", b""
    for name, value in ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)):
        data = value + bytes(-len(value) % 4)
        offset = 128 + 4 + 3 * 12 + len(body)
        tags += name + offset.to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    rest = (3).to_bytes(4, "big") + tags + body
    head = bytearray(128)
    head[0:4] = (128 + len(rest)).to_bytes(4, "big")
    head[8:12], head[12:16], head[16:20], head[20:24] = b"\2\x10\0\0", b"mntr", b"GRAY", b"XYZ "
    head[36:40] = b"acsp"
    head[68:80] = white[8:]
    return bytes(head) + rest


def test_colours_far_from_those_stored_are_told():
    """A profile that inverts brightness, or an extreme gamma, is marked."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert doubt(factories.jpeg(icc_profile=srgb)) is None
    assert doubt(factories.jpeg(icc_profile=b"damaged")) is None
    grey = factories.encoded(PHOTO.convert("L"), "PNG", icc_profile=inverting_profile())
    assert doubt(grey) == Doubt.COLOURS
    raw = factories.png()
    at = raw.index(b"IDAT") - 4
    for gamma, expected in ((45_455, None), (100_000, Doubt.COLOURS), (10_000, Doubt.COLOURS)):
        told = chunk(b"gAMA", gamma.to_bytes(4, "big"))
        assert doubt(raw[:at] + told + raw[at:]) == expected
        assert doubt(raw[:at] + chunk(b"sRGB", b"\0") + told + raw[at:]) is None


@pytest.mark.parametrize(("prob", "expected"), [(0.01, "review"), (0.5, "review"), (0.99, "flag")])
def test_a_doubtful_picture_is_never_cleared(prob, expected):
    """A low score of a marked image gives review with the reason, a high one flag."""
    row = {
        "image_id": "a",
        "detector": "d",
        "status": "scored",
        "prob_fake": prob,
        "width_px": 900,
        "height_px": 900,
        "domain": None,
        "ai_declared": None,
    }
    decided = decide(pl.DataFrame([row | {"doubt": Doubt.TRANSPARENT.value}]), load_policy())
    assert decided["decision"].to_list() == [expected]
    assert "not_as_seen" in decided["reasons"][0]
    for rows in ([row | {"doubt": None}], [row]):
        assert "not_as_seen" not in decide(pl.DataFrame(rows), load_policy())["reasons"][0]


def test_hashes_of_upright_pixels_say_so():
    """New hashes are marked as upright, to distinguish them from those of older versions."""
    assert inspect_image(factories.jpeg()).phash_of == UPRIGHT_PIXELS == "upright"


def test_damaged_animations_are_bounded():
    """Frames are counted up to the damage."""
    raw = animation("WEBP", [PHOTO, OTHER], [100, 100])
    assert frame_durations_ms(raw[:20], "WEBP") == []
    assert frame_durations_ms(b"RIFF" + bytes(8) + zlib.compress(b"x"), "WEBP") == []
    assert Image.open(io.BytesIO(raw)).n_frames == 2
