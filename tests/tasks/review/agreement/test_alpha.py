"""Krippendorff's alpha: the published examples by hand, and reasons where there is no value."""

from fractions import Fraction
from itertools import permutations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.tasks.review.agreement.alpha import krippendorff_alpha
from assay.tasks.review.agreement.ratings import Ratings, ratings_of

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", examples A, B and C.
BINARY = ["0100000010", "1110010000"]
NOMINAL = ["aabbdcccedda", "babbbccceddd"]
WITH_MISSING = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]


def ratings(rows: list[str]) -> Ratings:
    """Return rows of one character per image and reviewer as ratings; "." is no answer."""
    cells = [
        (unit, rater, value)
        for rater, row in enumerate(rows)
        for unit, value in enumerate(row)
        if value != "."
    ]
    labels = tuple(sorted({value for _, _, value in cells}))
    frame = pl.DataFrame(cells, schema=["unit", "rater", "value"], orient="row")
    return Ratings(
        reviewers=tuple(f"r{n}" for n in range(len(rows))),
        labels=labels,
        n_images=max((len(row) for row in rows), default=0),
        unit=frame["unit"].cast(pl.Int64).to_numpy(),
        rater=frame["rater"].cast(pl.Int64).to_numpy(),
        label=pl.Series([labels.index(value) for _, _, value in cells], dtype=pl.Int64).to_numpy(),
    )


def by_hand(rows: list[str]) -> Fraction | None:
    """Return alpha from the matrix of coincidences, pair by pair, in exact fractions."""
    coincidences: dict[tuple[str, str], Fraction] = {}
    for unit in zip(*rows, strict=True):
        values = [value for value in unit if value != "."]
        for pair in permutations(values, 2):
            coincidences[pair] = coincidences.get(pair, Fraction(0)) + Fraction(1, len(values) - 1)
    total: dict[str, Fraction] = {}
    for (value, _), count in coincidences.items():
        total[value] = total.get(value, Fraction(0)) + count
    n = sum(total.values())
    observed = sum(count for (one, other), count in coincidences.items() if one != other)
    expected = sum(total[one] * total[other] for one in total for other in total if one != other)
    return None if expected == 0 else 1 - (n - 1) * observed / expected


@pytest.mark.parametrize(
    ("rows", "published"), [(BINARY, 0.095), (NOMINAL, 0.692), (WITH_MISSING, 0.743)]
)
def test_published_examples(rows, published):
    """Krippendorff's own worked examples: two and four reviewers, the last with missing answers."""
    assert krippendorff_alpha(ratings(rows)).value == pytest.approx(published, abs=5e-4)
    assert float(by_hand(rows)) == pytest.approx(published, abs=5e-4)


def test_the_numbers_of_the_example_with_missing_answers():
    """The twelfth unit has one answer and counts for nothing: 11 units with 40 answers are left."""
    measured = krippendorff_alpha(ratings(WITH_MISSING))
    assert (measured.n_images, measured.n_answers) == (11, 40)


@given(
    st.integers(2, 4).flatmap(
        lambda n: st.lists(st.text("rfl.", min_size=n, max_size=n), min_size=1, max_size=12)
    )
)
@settings(max_examples=40, deadline=None)
def test_alpha_is_that_of_the_coincidences(units):
    """Of any answers with any gaps, alpha equals the sum over pairs, or neither is defined."""
    rows = ["".join(row) for row in zip(*units, strict=True)]
    measured, exact = krippendorff_alpha(ratings(rows)), by_hand(rows)
    if exact is None:
        assert measured.value is None
        assert measured.why_not is not None
    else:
        assert measured.value == pytest.approx(float(exact), abs=1e-12)


def test_the_interval_covers_the_value_and_narrows_with_images():
    """A hundred times the images make an interval of about a tenth of the width."""
    few = krippendorff_alpha(ratings(WITH_MISSING), seed=1)
    many = krippendorff_alpha(ratings([row * 100 for row in WITH_MISSING]), seed=1)
    assert few.low < few.value < few.high
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(10, rel=0.4)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "no answers with a label"),
        (["rrf"], "from one reviewer, r0"),
        (["rr..", "..ff"], "no image has answers of two reviewers"),
        (["rrr", "rrr"], "same label"),
    ],
)
def test_what_cannot_be_measured_says_why(rows, reason):
    """One reviewer, no overlap and one label give a reason, not a number and not an error."""
    measured = krippendorff_alpha(ratings(rows))
    assert measured.value is None
    assert reason in measured.describe()
    assert measured.describe().startswith("cannot be measured")


def test_unsure_is_a_missing_answer_unless_it_counts():
    """Two agree on one image; one is unsure of the other, which is no disagreement by default."""
    frame = pl.DataFrame(
        {
            "image_id": ["1", "1", "2", "2", "3", "3"],
            "reviewer": ["al", "bo"] * 3,
            "label": ["real", "real", "unsure", "fake", "fake", "fake"],
        }
    )
    assert krippendorff_alpha(ratings_of(frame)).value == 1.0
    assert krippendorff_alpha(ratings_of(frame, unsure_counts=True)).value < 1.0
