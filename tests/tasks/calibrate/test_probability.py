"""Maps from logits to probabilities against scikit-learn and known distributions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from assay.tasks.calibrate.probability import _fit, fit_probabilities
from assay.tasks.calibrate.reliability import reliability
from assay.tasks.decide.probability_map import Method, ProbabilityMap

RNG = np.random.default_rng(0)
IS_FAKE = np.arange(2000) % 2 == 1
# Two normals of width 2 at -1 and 1: the log odds of a value x are x / 2.
LOGITS = np.where(IS_FAKE, 1.0, -1.0) + RNG.normal(0, 2, 2000)


def test_platt_finds_the_log_odds_of_two_normals() -> None:
    """Weights are those of scikit-learn's logistic regression, near 1/2 and 0."""
    fitted = _fit("platt", LOGITS, IS_FAKE)
    model = LogisticRegression(C=1e9, tol=1e-10).fit(LOGITS[:, None], IS_FAKE)
    assert fitted.weights == pytest.approx((model.coef_[0, 0], model.intercept_[0]), abs=1e-3)
    assert fitted.weights == pytest.approx((0.5, 0.0), abs=0.1)


def test_temperature_halves_a_logit_that_is_twice_too_large() -> None:
    """The logits above are twice the log odds, so 1 / T is near 1/2."""
    (scale,) = _fit("temperature", LOGITS, IS_FAKE).weights
    assert scale == pytest.approx(0.5, abs=0.05)


def test_beta_never_falls_even_where_labels_are_reversed() -> None:
    """Both weights stay at zero or above, so a higher logit has no lower probability."""
    fitted = _fit("beta", LOGITS, ~IS_FAKE)
    probs = fitted.apply(np.linspace(-9, 9, 50))
    assert min(fitted.weights[:2]) >= 0
    assert (np.diff(probs) >= 0).all()


def test_isotonic_agrees_with_scikit_learn_after_storage() -> None:
    """The stored knots give the values of the fitted model, also outside its range."""
    fitted = ProbabilityMap.of(json.loads(json.dumps(_fit("isotonic", LOGITS, IS_FAKE).to_json())))
    model = IsotonicRegression(y_min=1 / 4000, y_max=1 - 1 / 4000, out_of_bounds="clip")
    model.fit(LOGITS, IS_FAKE)
    at = np.linspace(-20, 20, 200)
    np.testing.assert_allclose(fitted.apply(at), model.predict(at))


@pytest.mark.parametrize("method", ["platt", "temperature", "beta", "isotonic"])
def test_another_prevalence_shifts_the_log_odds(method: Method) -> None:
    """From half fakes to 1 %, the log odds fall by ln 99; NaN stays NaN."""
    fitted = _fit(method, LOGITS, IS_FAKE)
    at = np.array([-1.0, 0.0, 1.0, np.nan])
    before, after = fitted.apply(at), fitted.apply(at, prevalence=0.01)
    np.testing.assert_allclose(logit(after) - logit(before), [-np.log(99)] * 3 + [np.nan])


def test_method_with_the_lowest_log_loss_is_chosen() -> None:
    """A staircase of labels, which no sigmoid follows, is left to isotonic regression."""
    x = RNG.uniform(-6, 6, 2000)
    steps = np.select([x < -3, x < 0, x < 3], [0.02, 0.5, 0.52], 0.98)
    is_fake = RNG.uniform(size=2000) < steps
    fitted = fit_probabilities(x, is_fake)
    assert fitted.map.method == "isotonic"
    assert fitted.log_losses["isotonic"] == min(fitted.log_losses.values())


def test_too_few_images_of_a_class_are_refused() -> None:
    """With 19 of one class nothing is fitted."""
    with pytest.raises(ValueError, match="19 images of one class; allowed: 20"):
        fit_probabilities(LOGITS[:100], np.arange(100) < 19)


def test_reliability_agrees_with_scikit_learn() -> None:
    """Bins are those of `calibration_curve`; the error is their weighted distance."""
    probs = expit(LOGITS)
    found = reliability(probs, IS_FAKE)
    shares, means = calibration_curve(IS_FAKE, probs, n_bins=10)
    filled = [one for one in found.bins if one.n]
    assert [one.share_fake for one in filled] == pytest.approx(shares)
    assert [one.mean_prob for one in filled] == pytest.approx(means)
    weights = np.array([one.n for one in filled]) / 2000
    assert found.ece.value == pytest.approx((weights * abs(shares - means)).sum())
    assert found.ece.low <= found.ece.value <= found.ece.high
