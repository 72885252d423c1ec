"""Images are encoded anew for display: bounded, upright, opaque, without metadata."""

import io

import numpy as np
import pytest
from PIL import Image

from assay.data.errors import UnreadableImage
from assay.tasks.pages.renditions import SMALL, VIEW, Rendition, render_image


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def rendered(raw, rendition=SMALL):
    image = Image.open(io.BytesIO(render_image(raw, rendition)))
    assert image.format == "JPEG"
    return image


@pytest.mark.parametrize(
    ("size", "shown"),
    [((640, 320), (320, 160)), ((32, 20), (32, 20)), ((10_000, 2), (320, 1))],
)
def test_the_longest_side_is_bounded_and_nothing_is_enlarged(size, shown):
    """A small image keeps its pixels; a line stays a line."""
    assert rendered(encoded(Image.new("RGB", size))).size == shown


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "JPEG"])
def test_every_format_is_shown_as_jpeg(kind):
    """A browser decodes one format, which assay has written itself."""
    pixels = np.asarray(rendered(encoded(Image.new("RGB", (40, 40), (200, 30, 40)), kind)))
    assert np.abs(pixels.astype(int) - (200, 30, 40)).max() < 12


def test_a_turned_photo_is_upright_and_loses_its_metadata():
    """The orientation of a phone's photo says a quarter turn; its place is nobody's business."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"
    image = rendered(encoded(Image.new("RGB", (60, 20)), "JPEG", exif=exif))
    assert image.size == (20, 60)
    assert not image.getexif()


def test_transparency_is_over_white():
    """As in thumbnails and reports."""
    pixels = np.asarray(rendered(encoded(Image.new("RGBA", (16, 16), (0, 0, 0, 0)))))
    assert pixels.min() > 250


def test_a_jpeg_of_a_hundred_megapixels_is_decoded_at_a_fraction():
    """Its pixels would be 300 MB; the draft decoder reads it at an eighth of its size."""
    raw = encoded(Image.new("RGB", (10_000, 10_000), (10, 120, 90)), "JPEG", quality=30)
    assert rendered(raw, VIEW).size == (1600, 1600)


@pytest.mark.parametrize(
    "raw", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff\xe0" + b"\0" * 50]
)
def test_what_is_no_image_has_no_rendition(raw):
    """The error says why."""
    with pytest.raises(UnreadableImage):
        render_image(raw, Rendition(max_px=100, quality=80))
