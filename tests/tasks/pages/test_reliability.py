"""The reliability diagram: points, intervals and counts are where the figures put them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from assay.tasks.calibrate.reliability import Reliability, reliability
from assay.tasks.pages.reliability import reliability_svg

LEFT, TOP, SIDE = 46, 10, 258


@pytest.fixture(scope="module")
def measured() -> Reliability:
    rng = np.random.default_rng(4)
    probs = rng.uniform(0, 0.8, 400)
    return reliability(probs, rng.uniform(size=400) < probs)


def test_points_are_those_of_scikit_learn(measured: Reliability) -> None:
    """Mean probability and share of fakes of each range with images, as `calibration_curve`."""
    rng = np.random.default_rng(4)
    probs = rng.uniform(0, 0.8, 400)
    is_fake = rng.uniform(size=400) < probs
    share, mean = calibration_curve(is_fake, probs, n_bins=10)
    svg = reliability_svg(measured.bins)
    points = [
        (float(x), float(y))
        for x, y in re.findall(r'class="rel-point" cx="([\d.]+)" cy="([\d.]+)"', svg)
    ]
    expected = np.stack([LEFT + mean * SIDE, TOP + (1 - share) * SIDE], axis=1)
    np.testing.assert_allclose(points, expected, atol=0.051)
    assert svg.count('class="rel-count"') == 8


def test_intervals_are_exact(measured: Reliability) -> None:
    """The line of a point spans the interval of Clopper and Pearson, as scipy has it."""
    svg = reliability_svg(measured.bins)
    lines = re.findall(
        r'class="rel-range" x1="[\d.]+" x2="[\d.]+" y1="([\d.]+)" y2="([\d.]+)"', svg
    )
    for one, (low, high) in zip(measured.bins, lines, strict=False):
        assert one.share_fake is not None
        limits = binomtest(round(one.n * one.share_fake), one.n).proportion_ci(method="exact")
        assert float(low) == pytest.approx(TOP + (1 - limits.low) * SIDE, abs=0.051)
        assert float(high) == pytest.approx(TOP + (1 - limits.high) * SIDE, abs=0.051)


def test_counts_are_short_and_the_words_have_them_whole() -> None:
    """12,345 images are 12k below their bar, and 12,345 in the description."""
    probs = np.concatenate([np.full(12_345, 0.05), np.full(1_250, 0.55), [0.95]])
    svg = reliability_svg(reliability(probs, probs > 0.5).bins)
    assert re.findall(r'font-size="10.5">([^<]+)<', svg) == ["12k", "1.2k", "1"]
    assert "probability 0 to 10 %: 12,345 images, 0.0 % (0.0 to 0.0 %) labelled fake" in svg
    assert "90 to 100 %: 1 image, 100.0 % (2.5 to 100.0 %) labelled fake" in svg


def test_measures_read_back_as_they_were_stored(measured: Reliability) -> None:
    """The facts of a calibration hold the same bins."""
    assert Reliability.of(measured.to_json()) == measured
