"""Verdicts: no alarm on identical halves beyond the stated rate, and each shift by its name."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from populations_made import population, reader
from scipy.stats import binomtest

from assay.tasks.drift.compare import Comparison, Drift, alike_encoded, compare


def compared(before: pl.DataFrame, after: pl.DataFrame, **options: float) -> Comparison:
    """Compare two populations of the test."""
    return compare({"all": (before, after)}, reader(before, after), **options)["all"]  # type: ignore[arg-type]


def test_identical_halves_alarm_no_more_often_than_stated() -> None:
    """100 populations, each cut in two at random, at a rate of 5 %."""
    halves = [(population(80, seed=i), population(80, seed=1000 + i)) for i in range(100)]
    n_alarms = sum(compared(*pair, alpha=0.05).drift is not Drift.NONE for pair in halves)
    assert binomtest(n_alarms, 100, 0.05, alternative="greater").pvalue > 0.05


@pytest.mark.parametrize(
    ("changes", "drift", "shifted"),
    [
        ({"shift": 1.0}, Drift.IMAGES, {"score", "embedding"}),
        ({"quality": -30}, Drift.ENCODERS, {"jpeg_quality"}),
        ({"format": "WEBP"}, Drift.ENCODERS, {"format"}),
        ({"format": "WEBP", "shift": 1.0}, Drift.UNCLEAR, {"format", "score", "embedding"}),
    ],
)
def test_shift_is_named(changes: dict[str, object], drift: Drift, shifted: set[str]) -> None:
    """One verdict per kind of change, with the measures that moved."""
    found = compared(population(300, seed=1), population(300, seed=2, **changes))
    assert found.drift is drift
    assert set(found.shifted) == shifted


def test_scores_that_shift_with_the_encoding_alone_are_the_encoders() -> None:
    """Half of the later images are encoded otherwise and score higher; the others are as before."""
    later = [
        population(300, seed=2),
        population(300, seed=3, format="WEBP", shift=2.0),
    ]
    found = compared(population(600, seed=1), pl.concat(later))
    assert found.drift is Drift.ENCODERS_ALONE
    assert found.n_alike == pytest.approx(300, abs=60)


def test_images_that_differ_within_an_encoding_are_other_images_too() -> None:
    """The re-encoded half and the other have shifted alike."""
    later = [
        population(300, seed=2, shift=1.0),
        population(300, seed=3, format="WEBP", shift=1.0),
    ]
    assert compared(population(600, seed=1), pl.concat(later)).drift is Drift.BOTH


def test_alike_sides_have_the_same_encodings() -> None:
    """As many images per format, quality band and size on both sides."""
    rng = np.random.default_rng(0)
    sides = alike_encoded(population(200, seed=1), population(90, seed=2), rng)
    columns = ["format", "jpeg_quality", "width_px"]
    one, other = (side.group_by(columns).len().sort(columns) for side in sides)
    assert one.equals(other)
    assert 60 <= sides[0].height <= 90


def test_small_shift_of_many_images_is_no_alarm() -> None:
    """A distance below 0.05 is significant with 20,000 images, and does not count."""
    before, after = population(20_000, seed=1), population(20_000, seed=2)
    after = after.with_columns(pl.col("logit") + 0.1)
    found = compared(before, after)
    score = next(measure for measure in found.measures if measure.name == "score")
    assert score.p_value < 1e-4
    assert score.distance < 0.05
    assert found.drift is Drift.NONE


def test_verdict_does_not_depend_on_the_order_of_rows() -> None:
    """Samples depend on ids and seed."""
    before, after = population(300, seed=1), population(300, seed=2)
    one, other = compared(before, after), compared(before.reverse(), after.reverse())
    assert [m.p_value for m in one.measures] == [m.p_value for m in other.measures]
