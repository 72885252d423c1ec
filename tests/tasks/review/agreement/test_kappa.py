"""Cohen's kappa: the value of scikit-learn, the standard error of the textbook, clear refusals."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from assay.tasks.review.agreement.kappa import cohen_kappa, confusions
from assay.tasks.review.agreement.ratings import ratings_of

LABELS = ("real", "fake", "laundered")


def answers(rows):
    return pl.DataFrame(
        rows, schema=["image_id", "reviewer", "label"], orient="row", strict=False
    ).cast(pl.String)


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1))
def test_the_value_is_that_of_scikit_learn(pairs):
    """Of any answers of two people, kappa is `cohen_kappa_score`, or not defined in both."""
    rows = [
        (f"{n}", who, pair[who == "bo"]) for n, pair in enumerate(pairs) for who in ("al", "bo")
    ]
    ((_, _, table),) = confusions(ratings_of(answers(rows)))
    first, second = zip(*pairs, strict=True)
    measured = cohen_kappa(table)
    if len({*first, *second}) == 1:
        assert measured.value is None
        assert "single label" in measured.describe()
    else:
        assert measured.value == pytest.approx(cohen_kappa_score(first, second))
        assert measured.n_images == len(pairs)


def test_the_standard_error_is_that_of_the_textbook():
    """Fleiss, Levin and Paik 2003, table 18.1: kappa 0.68 with a standard error of 0.087."""
    table = np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
    measured = cohen_kappa(table)
    assert measured.value == pytest.approx(0.676, abs=5e-4)
    error = (measured.analytic_high - measured.analytic_low) / 2 / 1.96
    assert error == pytest.approx(0.087, abs=1e-3)


def test_the_bootstrap_agrees_with_the_asymptotic_interval_when_images_are_many():
    """Of 20,000 images, both intervals have the same bounds to a thousandth or two."""
    table = np.array([[9_000, 1_000, 200], [800, 6_000, 500], [100, 400, 2_000]])
    measured = cohen_kappa(table, seed=3)
    assert measured.low == pytest.approx(measured.analytic_low, abs=2e-3)
    assert measured.high == pytest.approx(measured.analytic_high, abs=2e-3)


def test_a_seed_gives_the_same_interval_again():
    """The bootstrap is drawn by the seed alone."""
    table = np.array([[20, 5], [3, 12]])
    first, again, other = (cohen_kappa(table, seed=seed) for seed in (1, 1, 2))
    assert (first.low, first.high) == (again.low, again.high) != (other.low, other.high)


def test_every_pair_with_images_in_common_has_its_confusion():
    """Three people, of whom two share two images and two share one; the third pair has none."""
    rows = [
        ("1", "al", "real"),
        ("1", "bo", "fake"),
        ("2", "al", "fake"),
        ("2", "bo", "fake"),
        ("3", "bo", "real"),
        ("3", "cy", "real"),
        ("4", "cy", "fake"),
    ]
    ratings = ratings_of(answers(rows))
    found = {
        (ratings.reviewers[one], ratings.reviewers[other]): table.tolist()
        for one, other, table in confusions(ratings)
    }
    assert found == {("al", "bo"): [[0, 1], [0, 1]], ("bo", "cy"): [[1, 0], [0, 0]]}


def test_two_people_without_an_image_in_common_cannot_be_compared():
    """No confusion is a reason in words, not a number."""
    assert cohen_kappa(np.zeros((2, 2), int)).describe() == (
        "cannot be measured: the two have answered no image in common"
    )
