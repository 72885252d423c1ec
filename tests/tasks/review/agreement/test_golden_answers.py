"""Answers about golden items: counts that can be checked by eye, intervals from the literature."""

import polars as pl
import pytest
from scipy.stats import beta

from assay.tasks.review.agreement.golden_answers import golden_records, share_of

GOLDEN = pl.DataFrame(
    {
        "image_id": ["r1", "r2", "f1", "f2", "l1"],
        "label": ["real", "real", "fake", "fake", "laundered"],
    }
)


def answers(**labels):
    return pl.DataFrame(
        [(image, "al", label) for image, label in labels.items()],
        schema=["image_id", "reviewer", "label"],
        orient="row",
    )


def test_each_kind_of_mistake_has_its_place():
    """One real is taken for fake, one fake for laundered; one is unsure, one is not golden."""
    given = answers(r1="fake", r2="real", f1="laundered", f2="unsure", l1="laundered", other="fake")
    (record,) = golden_records(given, GOLDEN)
    assert record.confusion["real"] == {"real": 1, "fake": 1, "laundered": 0, "unsure": 0}
    assert record.confusion["fake"] == {"real": 0, "fake": 0, "laundered": 1, "unsure": 1}
    assert (record.right.k, record.right.n) == (2, 4)
    assert (record.found.k, record.found.n) == (0, 1)
    assert (record.kept.k, record.kept.n) == (2, 3)
    assert record.unsure == 1


def test_who_answered_no_golden_item_has_no_record():
    """Nothing is said of a reviewer without golden items."""
    assert golden_records(answers(other="real"), GOLDEN) == []


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (3, 10), (97, 100)])
def test_the_interval_is_that_of_the_beta_quantiles(k, n):
    """Clopper-Pearson bounds are quantiles of beta distributions, 0 and 1 at the ends."""
    share = share_of(k, n)
    assert share.low == pytest.approx(beta.ppf(0.025, k, n - k + 1) if k else 0)
    assert share.high == pytest.approx(beta.ppf(0.975, k + 1, n - k) if k < n else 1)


def test_a_share_of_nothing_is_not_a_number():
    """Without answers there is no share, and everything is possible."""
    share = share_of(0, 0)
    assert (share.value, share.low, share.high) == (None, 0, 1)
    assert share.describe() == "none answered"
