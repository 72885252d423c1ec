"""Thresholds, p-values and bounds against published numbers, brute force and simulation."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from assay.data.errors import ConfigError
from assay.tasks.calibrate.false_share import false_share_bounds, most_reals_above
from assay.tasks.calibrate.guarantee import guarantee_of
from assay.tasks.calibrate.precision import precision_at
from assay.tasks.calibrate.umbrella import (
    reals_needed,
    threshold,
    threshold_rank,
    violation_probability,
)
from assay.tasks.decide.conformal import p_values, rejection_limit
from assay.tasks.proportion import share


@pytest.mark.parametrize(("level", "n_reals"), [(0.05, 59), (0.01, 299), (0.001, 2995)])
def test_number_of_reals_needed_is_that_of_the_closed_form(level: float, n_reals: int) -> None:
    """With n reals, the highest as threshold fails with probability (1 - level)^n."""
    assert reals_needed(level, 0.95) == n_reals
    assert (1 - level) ** n_reals <= 0.05 < (1 - level) ** (n_reals - 1)
    assert threshold_rank(n_reals, level, 0.95) == n_reals
    assert threshold_rank(n_reals - 1, level, 0.95) is None


@given(st.integers(1, 400), st.sampled_from([0.01, 0.05, 0.2]), st.sampled_from([0.8, 0.95, 0.99]))
def test_rank_is_the_smallest_whose_violation_probability_is_low_enough(
    n_reals: int, level: float, confidence: float
) -> None:
    """The rank agrees with a search over all ranks with the sum of the binomial written out."""
    terms = [
        math.comb(n_reals, j) * (1 - level) ** j * level ** (n_reals - j)
        for j in range(n_reals + 1)
    ]
    violations = list(accumulate(reversed(terms)))[::-1]  # by k: the sum from k to n
    allowed = [k for k in range(1, n_reals + 1) if violations[k] <= 1 - confidence]
    rank = threshold_rank(n_reals, level, confidence)
    assert rank == (allowed[0] if allowed else None)
    if rank is not None:
        assert violation_probability(rank, n_reals, level) == pytest.approx(violations[rank])


def test_threshold_is_the_score_of_the_rank_and_ties_stay_below_it() -> None:
    """Of 59 reals the highest is the threshold; equal scores are not strictly above it."""
    logits = np.array([*range(57), 99, 99], dtype=np.float32)
    limit = threshold(logits, 0.05, 0.95)
    assert limit == 99
    assert (logits > limit).sum() == 0


def test_p_value_counts_reals_with_a_score_as_high() -> None:
    """Of 4 reals, 2 have a score of 3 or more: p = (1 + 2) / 5; ties count, NaN stays NaN."""
    reals = np.array([1, 2, 3, 4], dtype=np.float32)
    logits = np.array([5, 3, 0, np.nan], dtype=np.float32)
    np.testing.assert_array_equal(p_values(logits, reals), [0.2, 0.6, 1.0, np.nan])


@given(
    st.lists(st.floats(0.001, 1), min_size=1, max_size=40),
    st.integers(0, 5),
    st.floats(0.01, 0.5),
)
def test_flags_of_a_batch_are_those_of_benjamini_and_hochberg(
    p_real: list[float], n_unscored: int, level: float
) -> None:
    """The flagged are those whose adjusted p-value by SciPy is at most the level."""
    values = np.array([*p_real, *[np.nan] * n_unscored])
    limit = rejection_limit(values, level)
    # An image without a score is one that is not rejected, as with a p-value of 1.
    adjusted = false_discovery_control(np.nan_to_num(values, nan=1.0))
    is_near = np.isclose(adjusted, level, rtol=1e-9)
    expected = (adjusted <= level) & ~np.isnan(values)
    np.testing.assert_array_equal((values <= limit)[~is_near], expected[~is_near])


def test_bounds_on_false_flags_hold_at_all_thresholds_at_once() -> None:
    """In 1,000 batches of real images some bound is broken in about 10 %, as asked for."""
    rng = np.random.default_rng(1)
    n_reals, n_images, n_batches = 150, 300, 1000
    ranks, most = most_reals_above(n_reals, n_images, confidence=0.9)
    broken = 0
    for _ in range(n_batches):
        reals = np.sort(rng.normal(size=n_reals))
        thresholds = reals[n_reals - ranks]
        n_above = (rng.normal(size=n_images)[None, :] > thresholds[:, None]).sum(axis=1)
        broken += bool((n_above > most).any())
    deviation = math.sqrt(n_batches * 0.1 * 0.9)
    assert broken <= n_batches * 0.1 + 3 * deviation
    assert broken >= n_batches * 0.05, "the bounds are far wider than asked for"


def test_bound_on_the_false_share_is_the_count_over_the_flagged() -> None:
    """Ten fakes above all reals: at the highest real 10 are flagged, and none is surely fake."""
    reals = np.linspace(-2, 0, 99, dtype=np.float32)
    logits = np.concatenate([np.full(10, 5), np.full(90, -5)]).astype(np.float32)
    thresholds, n_flagged, bounds = false_share_bounds(reals, logits, confidence=0.95)
    _, most = most_reals_above(99, 100, confidence=0.95)
    assert thresholds[0] == 0
    assert n_flagged[0] == 10
    assert bounds[0] == min(1, most[0] / 10)


def test_bound_counts_grow_with_the_rank_and_end_at_the_batch() -> None:
    """Lower thresholds let more reals through; above none of the reals lie a few at most."""
    ranks, most = most_reals_above(100, 1000, confidence=0.95)
    assert ranks[0] == 1
    assert ranks[-1] == 100
    assert all(low <= high for low, high in pairwise(most))
    assert 10 < most[0] < 100 < most[-1] <= 1000


def test_precision_at_a_prevalence_follows_from_bayes() -> None:
    """With rates of 0.8 and 0.02, at 1 % fakes: 0.008 / (0.008 + 0.0198)."""
    found = precision_at(
        0.01, n_fakes=100_000, n_fakes_flagged=80_000, n_reals=1_000_000, n_reals_flagged=20_000
    )
    assert found.value == pytest.approx(0.008 / 0.0278, abs=0.001)
    assert found.low < found.value < found.high


def test_share_has_the_interval_of_clopper_and_pearson() -> None:
    """For 0 of 10 the upper limit solves (1 - p)^10 = 0.025."""
    none = share(0, 10)
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(1 - 0.025**0.1)


@pytest.mark.parametrize(
    ("text", "kind", "level", "confidence"),
    [
        ("fpr=1%@95%", "fpr", 0.01, 0.95),
        ("fpr=0.05", "fpr", 0.05, 0.95),
        ("fpr = 2% @ 0.9", "fpr", 0.02, 0.9),
        ("fdr=10%", "fdr", 0.1, None),
    ],
)
def test_guarantee_is_read_from_its_text(
    text: str, kind: str, level: float, confidence: float | None
) -> None:
    """Shares are written in per cent or as a number."""
    found = guarantee_of(text)
    assert (found.kind, found.level, found.confidence) == (kind, level, confidence)
    assert guarantee_of(str(found)) == found


@pytest.mark.parametrize(
    "text",
    ["", "fpr", "fpr=0", "fpr=100%", "fpr=-1%", "fdr=10%@95%", "fnr=1%", "fpr=1%@", "fpr=nan"],
)
def test_other_guarantees_are_refused(text: str) -> None:
    """The message shows what was given and what is allowed."""
    with pytest.raises(ConfigError, match="guarantee"):
        guarantee_of(text)
