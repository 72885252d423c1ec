"""Limits of an audit: exact by brute force, and covering the truth in simulated months."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from assay.tasks.audit import estimate as module
from assay.tasks.audit.estimate import Stratum, estimate, fakes_of


@given(st.data())
def test_limits_are_the_numbers_that_a_two_sided_test_does_not_reject(data: st.DataObject) -> None:
    """They agree with a search over all numbers of fakes of the stratum."""
    n_all = data.draw(st.integers(1, 60))
    n_drawn = data.draw(st.integers(1, n_all))
    k = data.draw(st.integers(0, n_drawn))
    stratum = Stratum(n_all=n_all, n_drawn=n_drawn, n_labelled=n_drawn, n_fake=k)
    low, value, high = fakes_of(stratum, confidence=0.943)  # no round tail to tie with
    possible = [
        n_fakes
        for n_fakes in range(k, n_all - (n_drawn - k) + 1)
        if hypergeom.sf(k - 1, n_all, n_fakes, n_drawn) > 0.0285
        and hypergeom.cdf(k, n_all, n_fakes, n_drawn) > 0.0285
    ]
    assert (low, high) == (possible[0], possible[-1])
    assert low <= value <= high


def test_images_without_a_label_widen_both_limits() -> None:
    """Of ten drawn and all of the stratum, four fakes and two unknown: 4 to 6 fakes."""
    low, _, high = fakes_of(Stratum(n_all=10, n_drawn=10, n_labelled=8, n_fake=4), confidence=0.95)
    assert (low, high) == (4, 6)


def test_a_full_count_is_exact() -> None:
    """With every image labelled, intervals are points."""
    found = estimate(
        {
            "clear": Stratum(n_all=90, n_drawn=90, n_labelled=90, n_fake=2),
            "review": Stratum(n_all=6, n_drawn=6, n_labelled=6, n_fake=2),
            "flag": Stratum(n_all=4, n_drawn=4, n_labelled=4, n_fake=3),
        }
    )
    figures = (found.prevalence, found.precision, found.recall, found.found)
    for figure, expected in zip(figures, (0.07, 0.75, 3 / 7, 5 / 7), strict=True):
        assert figure is not None
        assert (figure.low, figure.value, figure.high) == pytest.approx((expected,) * 3)


def test_figures_without_images_are_left_out() -> None:
    """Without flags there is no precision; without a possible fake no recall."""
    found = estimate({"clear": Stratum(n_all=5, n_drawn=5, n_labelled=5, n_fake=0)})
    assert (found.precision, found.recall) == (None, None)
    assert found.prevalence is not None
    assert found.prevalence.high == 0


def test_intervals_cover_the_truth_in_simulated_months(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 months with 2 % fakes, each interval of 95 % covers in at least 93 %."""
    monkeypatch.setattr(module, "_lowest", functools.cache(module._lowest))
    rng = np.random.default_rng(0)
    n_months, sizes = 1000, {"clear": 20_000, "review": 600, "flag": 400}
    fakes = {"clear": 120, "review": 90, "flag": 300}
    drawn = {"clear": 200, "review": 75, "flag": 75}
    n_fakes = sum(fakes.values())
    truth = {
        "prevalence": n_fakes / sum(sizes.values()),
        "precision": fakes["flag"] / sizes["flag"],
        "recall": fakes["flag"] / n_fakes,
        "found": (fakes["flag"] + fakes["review"]) / n_fakes,
    }
    covered = dict.fromkeys(truth, 0)
    seen: dict[tuple[int, ...], dict[str, bool]] = {}
    for _ in range(n_months):
        ks = tuple(
            int(rng.hypergeometric(fakes[name], sizes[name] - fakes[name], drawn[name]))
            for name in sizes
        )
        if ks not in seen:
            found = estimate(
                {
                    name: Stratum(
                        n_all=sizes[name], n_drawn=drawn[name], n_labelled=drawn[name], n_fake=k
                    )
                    for name, k in zip(sizes, ks, strict=True)
                }
            ).to_json()
            seen[ks] = {
                name: found[name]["low"] <= value <= found[name]["high"]
                for name, value in truth.items()
            }
        for name, is_covered in seen[ks].items():
            covered[name] += is_covered
    error = 3 * math.sqrt(0.95 * 0.05 / n_months)
    assert all(n >= n_months * 0.93 for n in covered.values()), covered
    # The interval of one stratum is not far wider than stated.
    assert covered["precision"] / n_months <= 0.97 + error
