"""Counts at other thresholds: those that deciding again would give, at every step."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data.errors import ConfigError
from assay.tasks.decide.decide import decide
from assay.tasks.decide.policy import Band, DetectorRules, Policy
from assay.tasks.thresholds.recount import rate, recount
from assay.tasks.thresholds.summary import in_domain, summary_of

DETECTOR = "mini@0123"
SCORES = st.sampled_from([0.0, 0.1, 0.34999, 0.35, 0.35001, 0.65, 0.65001, 0.9, 0.99999, 1.0])
STEP = st.integers(0, 10_000).map(lambda k: k / 10_000) | st.sampled_from([0.35001, 0.72345])
ROW = st.tuples(
    st.none() | SCORES | st.floats(0, 1, width=32),
    st.none() | SCORES,
    st.sampled_from(["real", "fake", "laundered", "disputed", "unsure", "none"]),
    st.sampled_from([None, "art", "news"]),
    st.sampled_from([None, 100, 440, 2000]),
    st.sampled_from([None, "", " ", "trainedAlgorithmicMedia"]),
    st.sampled_from([None, "transparent"]),
)


def policy(review_at=0.35001, flag_at=0.72345, unlisted="default", art=None):
    """Policy whose thresholds are no multiples of a step, with a domain of its own."""
    own = DetectorRules(
        review_at=review_at,
        flag_at=flag_at,
        domains={"art": art or Band(review_at=0.1, flag_at=0.2)},
    )
    return Policy(
        name="made",
        min_short_edge_px=440,
        unlisted_domain=unlisted,
        default=Band(review_at=0.5, flag_at=0.5),
        detectors={"mini": own},
    )


def table_of(rows):
    """Rows as the grid holds them."""
    names = ("prob_fake", "view_prob", "label", "domain", "width_px", "ai_declared", "doubt")
    frame = pl.DataFrame(
        rows,
        orient="row",
        schema=dict.fromkeys(names, pl.String)
        | {"prob_fake": pl.Float32, "view_prob": pl.Float64, "width_px": pl.Int32},
    )
    return frame.with_columns(
        pl.col("label", "domain", "ai_declared", "doubt").cast(pl.Categorical()),
        height_px=pl.lit(2000, pl.Int32),
    )


def decided(table, rules):
    """Decisions of the rows by `decide`."""
    score = pl.col("prob_fake")
    facts = table.with_columns(
        image_id=pl.int_range(pl.len()).cast(pl.String),
        detector=pl.lit(DETECTOR),
        status=pl.when(score.is_null()).then(pl.lit("failed")).otherwise(pl.lit("scored")),
    )
    return decide(facts, rules)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(ROW, max_size=30),
    ends=st.tuples(STEP, STEP),
    domain=st.sampled_from([None, "art"]),
    unlisted=st.sampled_from(["default", "review"]),
)
def test_a_recount_is_what_deciding_again_gives(rows, ends, domain, unlisted):
    """Small, unscored, declared and doubted images, tiles, domains: all as the rules have it."""
    review_at, flag_at = sorted(ends)
    table = table_of(rows)
    before = policy(unlisted=unlisted, art=Band(review_at=0.35001, flag_at=0.72345))
    summary = summary_of(table, before, detector=DETECTOR, domain=domain)
    found = recount(summary, review_at=review_at, flag_at=flag_at)
    band = Band(review_at=review_at, flag_at=flag_at)
    after = policy(review_at, flag_at, unlisted, art=band)
    rows_here = decided(table, after).filter(
        in_domain(table, before, detector=DETECTOR, domain=domain)
    )
    n = dict(rows_here["decision"].value_counts().iter_rows())
    expected = tuple(n.get(name, 0) for name in ("clear", "review", "flag"))
    assert (found.clear, found.review, found.flag) == expected
    flagged = rows_here.filter(pl.col("decision") == "flag")["label"].to_list()
    fake = sum(label in {"fake", "laundered"} for label in flagged)
    real = flagged.count("real")
    labels = rows_here["label"].to_list()
    n_fake = sum(label in {"fake", "laundered"} for label in labels)
    assert (found.precision.k, found.precision.n) == (fake, fake + real)
    assert (found.recall.k, found.recall.n) == (fake, n_fake)
    assert (found.false_positives.k, found.false_positives.n) == (real, labels.count("real"))


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I,
        # method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_intervals_are_those_of_the_literature(k, n, low, high):
    """The score interval without a correction."""
    made = rate(k, n)
    assert (round(made.low, 4), round(made.high, 4)) == (low, high)


@given(n=st.integers(1, 10**6), share=st.floats(0, 1))
def test_an_interval_solves_its_equation(n, share):
    """At both ends the share lies z standard errors of that end away."""
    made = rate(round(share * n), n)
    for end in (made.low, made.high):
        if 0 < end < 1:
            distance = abs(made.k / n - end) / math.sqrt(end * (1 - end) / n)
            assert distance == pytest.approx(1.959963984540054, rel=1e-6)


def test_nothing_labelled_says_nothing():
    """Without labels, the precision may be anything."""
    made = rate(0, 0)
    assert (made.k, made.n, made.low, made.high) == (0, 0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("review_at", "flag_at", "message"),
    [
        (0.5, 0.4, "the lower one first"),
        (0.123456, 0.5, "0.123456 is no step"),
        (0.1, 1.5, "1.5 is no step"),
        (math.nan, 0.5, "the lower one first"),
    ],
)
def test_thresholds_off_the_steps_are_refused(review_at, flag_at, message):
    """Counts are exact or not given."""
    summary = summary_of(table_of([]), policy(), detector=DETECTOR)
    with pytest.raises(ConfigError, match=message):
        recount(summary, review_at=review_at, flag_at=flag_at)


def test_a_summary_in_json_names_the_counts_that_are_not_zero():
    """Steps and counts in turn, and the thresholds of the policy as steps of their own."""
    rows = [
        (0.5, None, "fake", None, 2000, None, None),
        (0.5, None, "fake", None, 2000, None, None),
        (0.2, 0.9, "none", None, 2000, None, None),
        (0.2, None, "real", None, 2000, "x", None),
        (None, None, "real", None, 2000, None, None),
    ]
    made = summary_of(table_of(rows), policy(), detector=DETECTOR).as_json()
    # Below 0.5 one further step: 0.35001; below 0.9 two: 0.72345 as well.
    assert made["judged"] == {"real": [], "fake": [5001, 2], "laundered": [], "none": [2000, 1]}
    assert made["raised"]["real"] == [2000, 1]
    assert made["fixed"] == {"real": 1, "fake": 0, "laundered": 0, "none": 0}
    assert made["tiles"] == [2000, 9002, 1]
    assert made["own_steps"] == [0.35001, 0.72345]
