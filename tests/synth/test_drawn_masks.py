"""Masks by rule have the right size and shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.data.errors import SynthError
from assay.synth.masks import draw_mask


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 99))
def test_masks_have_the_pictures_size_and_follow_their_rule(width, height, seed):
    """Every rule is tried at several sizes."""
    masks = {
        rule: draw_mask(rule, width, height, seed)
        for rule in ("empty", "full", "centre", "half", "box", "strokes")
    }
    assert all(mask.shape == (height, width) and mask.dtype == bool for mask in masks.values())
    assert not masks["empty"].any()
    assert masks["full"].all()
    assert masks["box"].any()
    np.testing.assert_array_equal(masks["box"], draw_mask("box", width, height, seed))


def test_an_unknown_mask_rule_is_refused():
    """The message lists the rules."""
    with pytest.raises(SynthError, match="allowed: empty, full"):
        draw_mask("circle", 8, 8, 0)
