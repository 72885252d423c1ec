"""The layer over an image lies where the score was taken, however the image is turned."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from assay.data.images.decode import PLAIN, UPRIGHT
from assay.tasks.detector.inputs.preprocess import square_in_image
from assay.tasks.detector.inputs.profiles import Profile, profile_for
from assay.tasks.explain.explain import Explanation
from assay.tasks.explain.overlay import draw_overlay

SIZE = (400, 200)


def explained(profile: Profile, size) -> Explanation:
    """Return an explanation whose first patch has all of the attribution."""
    attribution = np.zeros((4, 4), np.float32)
    attribution[0, 0] = 1
    return Explanation(
        detector_id="d@1",
        logit=1.0,
        towards="fake",
        square_u8_hwc=np.zeros((384, 384, 3), np.uint8),
        rollout=attribution,
        attribution=attribution,
        square_px=square_in_image(size, profile),
    )


def photo(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.new("RGB", SIZE).save(out, "JPEG", exif=exif)
    return out.getvalue()


def layer(profile: Profile, orientation: int):
    is_turned = profile.decode.turns and orientation >= 5
    size = SIZE[::-1] if is_turned else SIZE
    drawn = draw_overlay(photo(orientation), explained(profile, size), profile)
    image = Image.open(io.BytesIO(drawn))
    assert (image.format, image.mode) == ("PNG", "RGBA")
    return np.asarray(image)


def middle_of_patch(alpha_hw):
    """Return the middle of the most opaque patch, as shares of height and width."""
    rows, columns = np.nonzero((alpha_hw > 180) & (alpha_hw < 255))
    return rows.mean() / alpha_hw.shape[0], columns.mean() / alpha_hw.shape[1]


@pytest.mark.parametrize("decode", [PLAIN, UPRIGHT])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_layer_has_the_shape_of_the_upright_image(decode, orientation):
    """Browsers lay it over the image as people see it."""
    profile = dataclasses.replace(profile_for("authors-imagenet", 384), decode=decode)
    height, width, _ = layer(profile, orientation).shape
    assert (width, height) == (SIZE[::-1] if orientation >= 5 else SIZE)


# The square is the middle half of the long side; its first patch is at its top left as scored.
@pytest.mark.parametrize(
    ("decode", "orientation", "row", "column"),
    [
        (PLAIN, 1, 0.17, 0.34),
        (PLAIN, 3, 0.83, 0.66),
        (PLAIN, 6, 0.34, 0.83),
        (PLAIN, 8, 0.66, 0.17),
        (UPRIGHT, 1, 0.17, 0.34),
        (UPRIGHT, 6, 0.34, 0.17),
    ],
)
def test_a_patch_turns_with_the_image_it_was_scored_in(decode, orientation, row, column):
    """A profile that does not turn images scores a photo lying on its side."""
    profile = dataclasses.replace(profile_for("authors-imagenet", 384), decode=decode)
    found = middle_of_patch(layer(profile, orientation)[:, :, 3])
    assert found == pytest.approx((row, column), abs=0.03)


def test_outside_of_the_square_the_layer_is_clear():
    """What was not scored is not coloured."""
    alpha = layer(profile_for("authors-imagenet", 384), 1)[:, :, 3]
    assert alpha[:, :95].max() == alpha[:, 305:].max() == 0
    assert alpha[:, 120:280].min() > 0 or alpha[60:140, 120:280].min() > 0
