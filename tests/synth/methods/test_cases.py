"""Shared inputs that failed once work as parents."""

from pathlib import Path

import numpy as np
import pytest
from making import FunctionTools, job, pixels_of

from assay.data.images.decode import UPRIGHT, decode_rgb
from assay.synth.methods.make import make

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
TURNED = CASES.parent / "hostile" / "exif-orientation"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared inputs are not here")


def laundered(path):
    made = make(job("launder", condition="jpeg-90"), path.read_bytes(), FunctionTools(), origin="")
    return pixels_of(made.raw).astype(int)


def test_both_twins_of_a_grey_picture_have_the_same_child():
    """The twins have 16 and 8 bits, and the children agree within JPEG and rounding."""
    folder = CASES / "i10-grey16"
    apart = np.abs(laundered(folder / "a-16bit.png") - laundered(folder / "a-8bit.png"))
    assert apart.max() <= 8
    assert apart.mean() <= 1


def test_a_photo_held_sideways_and_the_one_that_was_sent_on_have_the_same_child():
    """Both children are upright."""
    folder = CASES / "i12-exif-turned"
    held, sent = (laundered(folder / name) for name in ("phone.jpg", "sent-on.jpg"))
    assert held.shape == sent.shape
    assert np.abs(held - sent).mean() <= 4


def test_every_orientation_gives_an_upright_child():
    """All eight orientations are tried, two of them lying on either side."""
    found = sorted(TURNED.rglob("Portrait_[68].jpg"))
    for path in found:
        wanted = np.asarray(decode_rgb(path.read_bytes(), UPRIGHT)).astype(int)
        child = laundered(path)
        assert child.shape == wanted.shape
        assert np.abs(child - wanted).mean() <= 4, path
