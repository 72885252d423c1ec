"""Drift of scores: its limits, and the decisions that allow for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.tasks.decide.policy import Band
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.detector.selection.drift import (
    EXACT_LIMIT_LOGIT,
    REDUCED_LIMIT_LOGIT,
    drift_between,
    drift_by_slice,
    judged_logit,
    limit_logit,
    slice_of,
)


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_drift_by_eye():
    """Differences 0, 1 and 3 have the mean 4/3 and the maximum 3."""
    found = drift_between(f32(0, 5, -1), f32(0, 4, 2))
    assert (found.n_images, found.mean, found.max) == (3, pytest.approx(4 / 3), 3.0)
    assert found.p99 == 3.0


def test_numbers_that_are_none_are_infinitely_far():
    """A NaN counts as infinite drift."""
    assert drift_between(f32(0, 1), f32(0, np.nan)).max == np.inf
    assert drift_between(f32(), f32()).n_images == 0


def test_the_figure_that_is_judged():
    """The maximum counts in fp32, the 99th percentile elsewhere."""
    found = drift_between(np.zeros(1000, np.float32), f32(*([0.0] * 999), 0.5))
    assert judged_logit(found, "fp32") == 0.5 > limit_logit("fp32") == EXACT_LIMIT_LOGIT
    assert judged_logit(found, "int8@0") == 0.0 < limit_logit("int8@0") == REDUCED_LIMIT_LOGIT


@pytest.mark.parametrize(
    ("short_edge_px", "quality", "name"),
    [
        (439, 10, "short edge under 440 px"),
        (440, 49, "JPEG quality under 50"),
        (440, 50, "others"),
        (2000, None, "others"),
    ],
)
def test_slices(short_edge_px, quality, name):
    """Slices go by size first, then by JPEG quality, which other formats lack."""
    assert slice_of(short_edge_px, quality) == name


def test_report_by_slice():
    """Flips across 0.5 and 0.9, and AUC as in scikit-learn, are given in all and per slice."""
    from sklearn.metrics import roc_auc_score

    reference, other = f32(-1, -0.1, 0.1, 3), f32(-1, 0.1, 0.1, 1)
    kinds = ["others", "short edge under 440 px", "others", "others"]
    everything, small, others = drift_by_slice(
        reference, other, slices=kinds, labels=[0, 1, 0, 1], review_at=0.5, flag_at=0.9
    )
    assert (everything.name, small.name, others.name) == ("all", kinds[1], "others")
    # -0.1 to 0.1 crosses 0.5; 3 (0.95) to 1 (0.73) leaves what is flagged.
    assert (everything.flips, small.flips, others.flips) == (2, 1, 1)
    assert everything.auc_reference == roc_auc_score([0, 1, 0, 1], reference)
    assert everything.auc == roc_auc_score([0, 1, 0, 1], other)
    assert small.auc is None
    assert small.drift.max == pytest.approx(0.2)


def test_unknown_labels_do_not_count():
    """AUC covers labelled images only and is left out without both classes."""
    (everything, _) = drift_by_slice(
        f32(0, 1, 2),
        f32(0, 1, 2),
        slices=["others"] * 3,
        labels=[None, 1, 1],
        review_at=0.5,
        flag_at=0.5,
    )
    assert everything.auc is everything.auc_reference is None


POLICY = {
    "name": "mine",
    "min_short_edge_px": 440,
    "unlisted_domain": "default",
    "default": {"review_at": 0.3, "flag_at": 0.8},
    "detectors": {"d": {"domains": {"x": {"review_at": 0.0, "flag_at": 1.0}}}},
}


def test_no_drift_is_the_same_policy():
    """The policy keeps its id."""
    policy = load_policy()
    assert policy.widened(0.0) is policy


def test_widening_by_eye():
    """A threshold of 0.5 moves to the sigmoid of the drift on either side."""
    band = {"review_at": 0.5, "flag_at": 0.5}
    policy = policy_from_dict(POLICY | {"default": band, "detectors": {}}, source="test")
    wide = policy.widened(1.0)
    assert wide.default.flag_at == pytest.approx(1 / (1 + np.exp(-1)))
    assert wide.default.review_at == pytest.approx(1 / (1 + np.exp(1)))
    assert wide.name == "mine-drift-1"
    assert wide.policy_id != policy.policy_id


def test_a_measurement_a_little_other_is_the_same_policy():
    """Drift is rounded up to two digits, so a small change gives the same policy."""
    policy = policy_from_dict(POLICY, source="test")
    assert policy.widened(0.1201).policy_id == policy.widened(0.1299).policy_id
    assert policy.widened(0.13).name == "mine-drift-0.13"


def test_certain_thresholds_stay():
    """Thresholds 0 and 1 stay, since they have no finite logit."""
    wide = policy_from_dict(POLICY, source="test").widened(0.5)
    assert wide.detectors["d"].domains["x"] == Band(review_at=0.0, flag_at=1.0)


def test_a_widened_policy_reads_back():
    """The rules in a run's record give the same policy."""
    wide = policy_from_dict(POLICY, source="test").widened(0.123)
    assert policy_from_dict(wide.as_dict(), source="run").policy_id == wide.policy_id


@given(
    st.floats(-12, 12),
    st.floats(1e-4, 2),
    st.floats(-1, 1),
    st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)).map(sorted),
)
def test_no_drift_turns_clear_into_flag(logit, drift, share, thresholds):
    """An image that the exact score clears is never flagged by the drifted one, or vice versa."""
    band = dict(zip(("review_at", "flag_at"), thresholds, strict=True))
    policy = policy_from_dict(POLICY | {"default": band, "detectors": {}}, source="test")
    wide = policy.widened(drift).default
    exact, moved = (1 / (1 + np.exp(-x)) for x in (logit, logit + share * drift))
    if exact < band["review_at"] - 1e-9:
        assert moved < wide.flag_at
    if exact >= band["flag_at"] + 1e-9:
        assert moved >= wide.review_at


@given(st.floats(0.001, 0.999), st.integers(1, 99), st.floats(-3e-8, 3e-8))
def test_scores_at_the_very_threshold_do_not_turn_either(threshold, percent, beside):
    """This holds for float32 scores at the threshold, with a drift that needs no rounding."""
    drift = percent / 100
    band = {"review_at": threshold, "flag_at": threshold}
    policy = policy_from_dict(POLICY | {"default": band, "detectors": {}}, source="test")
    wide = policy.widened(drift).default
    logit = np.log(threshold) - np.log1p(-threshold) + beside
    exact, up, down = (
        np.float32(1 / (1 + np.exp(-x))) for x in (logit, logit + drift, logit - drift)
    )
    if exact < np.float32(threshold):
        assert up < np.float32(wide.flag_at)
    else:
        assert down >= np.float32(wide.review_at)


@pytest.mark.parametrize("drift", [np.inf, 1e300, 2e6])
def test_boundless_drift_leaves_all_to_people(drift):
    """An infinite drift sends everything to review, and its policy reads back."""
    wide = policy_from_dict(POLICY, source="test").widened(drift)
    assert (wide.default.review_at, wide.default.flag_at) == (0.0, 1.0)
    assert policy_from_dict(wide.as_dict(), source="run").policy_id == wide.policy_id


@pytest.mark.parametrize("drift", [-0.1, np.nan])
def test_drift_that_is_none_is_refused(drift):
    """A negative or NaN drift is refused."""
    with pytest.raises(ValueError, match="allowed: 0 or more"):
        load_policy().widened(drift)


def test_a_score_that_is_no_number_flips_and_has_no_auc():
    """A flagged image that loses its score goes to review and counts as a flip."""
    (everything, _) = drift_by_slice(
        f32(3, -3),
        f32(np.nan, -3),
        slices=["others"] * 2,
        labels=[1, 0],
        review_at=0.35,
        flag_at=0.65,
    )
    assert everything.flips == 1
    assert (everything.auc_reference, everything.auc) == (1.0, None)
