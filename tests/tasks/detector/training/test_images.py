"""Training images: the split, the aligned fakes of photos, and the views."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from training_images import autoencoder_folder, photo

from assay.data.errors import InputError
from assay.synth.autoencoder import load_autoencoder
from assay.tasks.detector.training.evaluation import codec_features, photo_side
from assay.tasks.detector.training.images import (
    Part,
    TrainingImage,
    centred_window,
    find_images,
    make_twins,
    source_weights,
)
from assay.tasks.detector.training.views import normalised, random_view


def test_the_split_goes_by_source_and_generator(folders: Path) -> None:
    """A held-out name is held out as a whole, and no other image is."""
    pictures = find_images(
        [folders / "real"],
        [folders / "fake"],
        manifests=[folders / "manifest.tsv"],
        hold_out=("b", "*-1"),
        validation_share=0.3,
    )
    assert len(pictures) == 32
    held_out = {(p.source, p.generator, p.held_out_as) for p in pictures if p.part is Part.HELD_OUT}
    assert held_out == {("b", "b", "b"), ("y", "y-1", "*-1")}
    assert sum(p.part is Part.HELD_OUT for p in pictures) == 12
    assert 1 <= sum(p.part is Part.VALIDATION for p in pictures) <= 12


@pytest.mark.parametrize(
    ("hold_out", "message"),
    [
        (("kodac",), r"no source or generator is named \['kodac'\]; known: a, b, x, y"),
        (("a", "b"), "no photos left to train on"),
        (("x", "y"), "no AI-generated images left"),
    ],
)
def test_a_split_that_cannot_be_is_refused(
    folders: Path, hold_out: tuple[str, ...], message: str
) -> None:
    """A misspelt name would leak test images into training."""
    with pytest.raises(InputError, match=message):
        find_images([folders / "real"], [folders / "fake"], hold_out=hold_out)


def test_a_missing_folder_and_a_bad_manifest_are_refused(folders: Path) -> None:
    """Both messages name the path."""
    with pytest.raises(InputError, match="nowhere is not a folder"):
        find_images([folders / "nowhere"], [folders / "fake"])
    (folders / "bad.tsv").write_text("file\tmodel\n")
    with pytest.raises(InputError, match="columns path and generator"):
        find_images([folders / "real"], [folders / "fake"], manifests=[folders / "bad.tsv"])


def test_small_sources_are_drawn_more_often_by_picture() -> None:
    """One image of one and one of four have odds 1 to 1/2, so 1/3 and 1/6 of the draws."""
    pictures = [
        TrainingImage(path=Path(s), source=s, generator=s, is_fake=False, part=Part.TRAIN)
        for s in ("a", "b", "b", "b", "b")
    ]
    assert source_weights(pictures) == pytest.approx([1 / 3, *[1 / 6] * 4])


def test_twins_are_made_once_and_match_in_codec(tmp_path: Path) -> None:
    """A second call reads the cache; the pair differs in pixels, not in tables or size."""
    path = tmp_path / "p.jpg"
    photo(1, size=(200, 120)).save(path, quality=83)
    picture = TrainingImage(path=path, source="s", generator="s", is_fake=False, part=Part.TRAIN)
    autoencoder = load_autoencoder(autoencoder_folder(tmp_path / "autoencoder"))
    lines: list[str] = []
    for _ in range(2):
        twins = make_twins(
            [picture], autoencoder, tmp_path / "cache", window_px=96, on_progress=lines.append
        )
    assert len(lines) == 1
    assert twins[0].window == (48, 0, 144, 96) == centred_window(path, 96)
    sides = [Image.open(io.BytesIO(raw)) for raw in (photo_side(twins[0]), twins[0].raw)]
    for side in sides:
        assert isinstance(side, JpegImagePlugin.JpegImageFile)
    assert sides[0].size == sides[1].size == (96, 96)
    assert sides[0].quantization == sides[1].quantization
    assert codec_features(photo_side(twins[0]))[4:] == codec_features(twins[0].raw)[4:]


def test_a_photo_that_cannot_be_matched_is_left_out_and_told(tmp_path: Path) -> None:
    """A GIF under a PNG name makes no pair and is reported."""
    path = tmp_path / "p.png"
    photo(1).save(path, "GIF")
    picture = TrainingImage(path=path, source="s", generator="s", is_fake=False, part=Part.TRAIN)
    autoencoder = load_autoencoder(autoencoder_folder(tmp_path / "autoencoder"))
    lines: list[str] = []
    assert make_twins([picture], autoencoder, tmp_path / "c", on_progress=lines.append) == []
    assert "no aligned fake of p.png" in lines[0]


def test_normalising_a_grey_pixel() -> None:
    """128 / 255 in the red channel is (0.50196 - 0.485) / 0.229 = 0.0741."""
    out = normalised(np.full((1, 2, 2, 3), 128, np.uint8))
    assert out.shape == (1, 3, 2, 2)
    assert out[0, 0, 0, 0].item() == pytest.approx(0.0741, abs=1e-4)


@pytest.mark.parametrize("size", [(112, 96), (40, 30), (500, 37)])
def test_twins_get_the_same_random_view(size: tuple[int, int]) -> None:
    """The same generator state gives the same view; shape and type always hold."""
    image = photo(5, size=size)
    for seed in range(30):
        views = [random_view(image, 32, 64, np.random.default_rng(seed)) for _ in range(2)]
        assert views[0].shape == (32, 32, 3)
        assert views[0].dtype == np.uint8
        assert (views[0] == views[1]).all()


def test_without_strength_nothing_is_encoded_again() -> None:
    """A one-coloured image of odd colour keeps exactly that colour."""
    image = Image.new("RGB", (90, 70), (13, 77, 201))
    for seed in range(30):
        view = random_view(image, 32, 64, np.random.default_rng(seed), strength=0.0)
        assert (view == (13, 77, 201)).all()


def test_twins_of_a_reduced_photo(tmp_path: Path) -> None:
    """200 x 120 at a short edge of 60 is 100 x 60; both images have that size.

    A smaller photo is not enlarged.
    """
    path = tmp_path / "p.jpg"
    photo(1, size=(200, 120)).save(path, quality=83)
    picture = TrainingImage(path=path, source="s", generator="s", is_fake=False, part=Part.TRAIN)
    autoencoder = load_autoencoder(autoencoder_folder(tmp_path / "autoencoder"))
    sizes = []
    for short_px in (60, 500):
        (twin,) = make_twins([picture], autoencoder, tmp_path / "cache", short_px=short_px)
        sides = [Image.open(io.BytesIO(raw)) for raw in (photo_side(twin), twin.raw)]
        sizes.append({side.size for side in sides})
        assert isinstance(sides[0], JpegImagePlugin.JpegImageFile)
        assert isinstance(sides[1], JpegImagePlugin.JpegImageFile)
        assert sides[0].quantization == sides[1].quantization
    assert sizes == [{(100, 60)}, {(200, 120)}]
    (twin,) = make_twins([picture], autoencoder, tmp_path / "cache", window_px=48, short_px=60)
    assert twin.window == (16, 0, 64, 48)


def test_a_part_of_a_picture_is_scaled_as_the_whole() -> None:
    """An image with a short edge of 146 px is scaled by 73 / 146 = 0.5 for 64 px.

    Stripes two pixels wide then average to grey; at the part's own scale they would stay.
    """
    stripes = np.zeros((73, 73, 3), np.uint8)
    stripes[:, ::2] = 255
    image = Image.fromarray(stripes)
    spreads = {}
    for of_short_px in (146, 73):
        views = [
            random_view(
                image, 32, 64, np.random.default_rng(seed), strength=0.0, of_short_px=of_short_px
            )
            for seed in range(20)
        ]
        spreads[of_short_px] = float(np.median([view.std() for view in views]))
    assert spreads[146] < 40
    assert spreads[73] > 120
