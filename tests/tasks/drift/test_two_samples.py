"""Tests of two samples agree with scipy, with values by hand, and with their stated rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from scipy.stats import energy_distance, fisher_exact, ks_2samp, kstest

from assay.tasks.drift.energy import energy_test
from assay.tasks.drift.two_samples import category_test, holm, ks, psi


def test_ks_is_that_of_scipy() -> None:
    """Distance and asymptotic p-value."""
    rng = np.random.default_rng(1)
    one, other = rng.normal(0, 1, 400), rng.normal(0.2, 1, 300)
    expected = ks_2samp(one, other, method="asymp")
    assert ks(one, other) == (expected.statistic, expected.pvalue)


def test_psi_of_a_known_shift() -> None:
    """Ten bins of ten; of the later 100 all are in the last: 10.5/105 against 0.5 and 100.5."""
    before, after = np.arange(100.0), np.full(100, 99.0)
    q_low, q_high, p = 0.5 / 105, 100.5 / 105, 0.1
    expected = 9 * (q_low - p) * np.log(q_low / p) + (q_high - p) * np.log(q_high / p)
    assert psi(before, after) == pytest.approx(expected)
    assert psi(before, before) == 0


def test_psi_of_a_constant_has_one_value() -> None:
    """Equal quantiles make no empty bins on one side alone."""
    assert psi(np.zeros(50), np.zeros(50)) == 0


def test_energy_distance_is_that_of_scipy() -> None:
    """In one dimension."""
    rng = np.random.default_rng(2)
    one, other = rng.normal(0, 1, 80), rng.normal(0.5, 1, 60)
    found = energy_test(one[:, None], other[:, None], n_draws=1, rng=rng)
    assert found.distance == pytest.approx(energy_distance(one, other), rel=1e-4)


def test_energy_distance_is_its_definition_in_many_dimensions() -> None:
    """Means of all distances, also far from the origin."""
    rng = np.random.default_rng(3)
    one, other = rng.normal(50, 1, (40, 16)), rng.normal(50.3, 1, (50, 16))
    found = energy_test(one, other, n_draws=1, rng=rng)
    between, within, others = (
        cdist(*pair).mean() for pair in ((one, other), (one, one), (other, other))
    )
    assert found.distance**2 == pytest.approx(2 * between - within - others, rel=1e-3)


def test_energy_coefficient_is_between_equal_populations_and_two_points() -> None:
    """1 for two points, 0 for one; else its definition by means over distinct pairs."""
    rng = np.random.default_rng(6)
    zeros, ones = np.zeros((40, 3)), np.ones((30, 3))
    assert energy_test(zeros, ones, n_draws=1, rng=rng).coefficient == pytest.approx(1)
    assert energy_test(zeros, zeros, n_draws=1, rng=rng).coefficient == 0
    one, other = rng.normal(0, 1, (40, 4)), rng.normal(1, 1, (50, 4))
    between = cdist(one, other).mean()
    within = pdist(one).mean(), pdist(other).mean()
    expected = np.sqrt(1 - sum(within) / (2 * between))
    found = energy_test(one, other, n_draws=1, rng=rng)
    assert found.coefficient == pytest.approx(expected)


def test_energy_coefficient_of_two_normals_is_near_their_ks_distance() -> None:
    """So that one limit serves both: 0.38 for a shift of one deviation."""
    rng = np.random.default_rng(7)
    one, other = rng.normal(0, 1, 1500), rng.normal(1, 1, 1500)
    found = energy_test(one[:, None], other[:, None], n_draws=1, rng=rng)
    assert found.coefficient == pytest.approx(ks(one, other)[0], abs=0.1)


def test_p_values_of_permutations_are_uniform() -> None:
    """Of 200 pairs from one distribution."""
    rng = np.random.default_rng(4)
    found = [
        energy_test(rng.normal(size=(30, 2)), rng.normal(size=(30, 2)), n_draws=99, rng=rng).p_value
        for _ in range(200)
    ]
    assert kstest(found, "uniform").pvalue > 0.01


def test_p_value_of_two_categories_is_near_that_of_fisher() -> None:
    """Both tests condition on the margins."""
    before, after = np.array([30, 20]), np.array([20, 30])
    distance, p_value = category_test(before, after, n_draws=20_000, rng=np.random.default_rng(5))
    assert distance == pytest.approx(0.2)
    assert p_value == pytest.approx(fisher_exact([before, after]).pvalue, abs=0.01)


def test_holm_steps_down() -> None:
    """0.01 <= 0.05 / 4 and 0.013 <= 0.05 / 3; 0.03 > 0.05 / 2 stops it."""
    assert holm([0.03, 0.01, 0.04, 0.013], 0.05) == [False, True, False, True]
