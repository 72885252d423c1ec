"""Marks declare AI-generated files without changing a pixel, and are read back."""

import io

import certificates
import factories
import numpy as np
import pytest
from PIL import Image

from assay.data.errors import ConfigError, SynthError
from assay.data.images.inspect_image import inspect_image
from assay.synth.marking import CERTIFICATE_VARIABLE, KEY_VARIABLE, Mark, SourceType, marked

MADE = Mark(source_type=SourceType.MADE, generator='small "x" & <y>', origin="s-1/abc")
FILES = {
    "jpeg": factories.jpeg(),
    "jpeg with exif": factories.jpeg(exif=Image.Exif().tobytes()),
    "png": factories.encoded(factories.photo(), "PNG"),
    "png with alpha": factories.encoded(factories.noise(mode="RGBA"), "PNG"),
    "webp": factories.encoded(factories.photo(), "WEBP", quality=80),
    "webp lossless": factories.encoded(factories.photo(size=(33, 21)), "WEBP", lossless=True),
    "webp with alpha": factories.encoded(factories.noise(mode="RGBA"), "WEBP"),
    "webp with profile": factories.encoded(factories.photo(), "WEBP", exif=b"Exif\0\0II*\0\x08\0"),
}


def pixels(raw):
    with Image.open(io.BytesIO(raw)) as image:
        return np.asarray(image)


@pytest.mark.parametrize("name", FILES)
def test_a_mark_is_read_back_and_no_pixel_changes(name):
    """Every format is tried, with and without other metadata."""
    out = marked(FILES[name], MADE)
    np.testing.assert_array_equal(pixels(out), pixels(FILES[name]))
    assert inspect_image(out).ai_declared == "iptc: trainedAlgorithmicMedia"
    assert b"s-1/abc" in out


def test_an_edited_photo_is_a_composite():
    """IPTC has a source type for photos with AI-generated parts."""
    edited = Mark(source_type=SourceType.EDITED, generator="g")
    assert inspect_image(marked(FILES["png"], edited)).ai_declared == (
        "iptc: compositeWithTrainedAlgorithmicMedia"
    )


def test_a_photo_that_was_only_saved_again_claims_no_machine():
    """The mark names its origin and no model."""
    out = marked(FILES["jpeg"], Mark(source_type=None, generator="launder", origin="s-1/k"))
    assert inspect_image(out).ai_declared is None
    assert b"s-1/k" in out


def test_other_formats_are_refused_by_name():
    """The message names the start of the file."""
    with pytest.raises(SynthError, match=r"GIF8.*JPEG, PNG and WebP"):
        marked(factories.encoded(factories.photo().quantize(8), "GIF"), MADE)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_a_certificate_signs_a_manifest_too(name, tmp_path, monkeypatch):
    """Its claim is read back beside that of the XMP."""
    pytest.importorskip("c2pa")
    for variable, content in zip(
        (CERTIFICATE_VARIABLE, KEY_VARIABLE), certificates.signing_chain(), strict=True
    ):
        (tmp_path / variable).write_bytes(content)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    out = marked(FILES[name], MADE)
    np.testing.assert_array_equal(pixels(out), pixels(FILES[name]))
    declared = inspect_image(out).ai_declared
    assert "c2pa: trainedAlgorithmicMedia" in declared
    assert "iptc: trainedAlgorithmicMedia" in declared


def test_half_a_certificate_is_an_error(monkeypatch):
    """An image is never silently left unsigned."""
    monkeypatch.setenv(CERTIFICATE_VARIABLE, "chain.pem")
    with pytest.raises(ConfigError, match=KEY_VARIABLE):
        marked(FILES["jpeg"], MADE)
