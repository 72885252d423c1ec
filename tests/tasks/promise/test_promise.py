"""What the thresholds of a run promise: the sentence, its figures, and where it does not hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from html_page import Page, assert_is_closed, assert_is_well_formed
from lakes import KEY, START, Made, Shot, decided_again, lake_of
from scipy.special import expit
from scipy.stats import beta, betabinom

from assay.tasks.audit.audits import draw_audit, read_audit
from assay.tasks.audit.estimate import Stratum
from assay.tasks.calibrate.calibrate import calibrate
from assay.tasks.calibrate.guarantee import LIMITS, guarantee_of
from assay.tasks.calibrate.precision import precision_at
from assay.tasks.decide.policy import DetectorRules, Policy
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.promise.promise import Promise, promise_of
from assay.tasks.promise.words import flagged_words, sentence_of, statement_of
from assay.tasks.report.domain_promises import by_domain
from assay.tasks.report.facts import gather
from assay.tasks.report.sections import Collector
from assay.tasks.report.write import write_report
from assay.tasks.runs.run_record import find_run

SIDE = (96, 96)
ODD = "<b>\u202eart"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """60 reals of one domain with logits from -5 to -2.05, 4 of another, 24 fakes from -2.3 up."""
    reals = [
        Shot(name=f"r{i}", prob=float(expit(-5 + 0.05 * i)), seed=i, label="real", domain="photos")
        for i in range(60)
    ]
    others = [
        Shot(name=f"o{i}", prob=float(expit(-4 + 0.1 * i)), seed=100 + i, label="real", domain=ODD)
        for i in range(4)
    ]
    fakes = [
        Shot(name=f"f{i}", prob=float(expit(-2.3 + 0.2 * i)), seed=200 + i, label="fake")
        for i in range(24)
    ]
    shots = [dataclasses.replace(shot, size=SIDE) for shot in [*reals, *others, *fakes]]
    return lake_of(tmp_path_factory.mktemp("promise") / "lake", shots)


def policy_of(made: Made, guarantee: str = "fpr=5%@95%", **options: object) -> Policy:
    base = load_policy().model_copy(update={"min_short_edge_px": 0})
    return calibrate(made.lake, guarantee_of(guarantee), base=base, **options).policy  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def policy(made: Made) -> Policy:
    """Calibrate for at most 5 % at 95 %."""
    return policy_of(made)


def with_flag_at(policy: Policy, flag_at: float) -> Policy:
    """Return the policy with another threshold for all domains, and none for single ones."""
    rules = DetectorRules(review_at=0.001, flag_at=flag_at)
    return policy.model_copy(update={"detectors": {KEY.detector: rules}})


@pytest.mark.parametrize(
    ("guarantee", "words"),
    [
        ("fpr=1%@95%", "Of 100 real images like R, at most 1 on average is flagged by the score"),
        ("fpr=5%@90%", "at most 5 on average are flagged by the score; this holds with 90 %"),
        ("fpr=0.1%", "Of 1,000 real images like R, at most 1 on average is"),
        ("fpr=2.5%", "Of 1,000 real images like R, at most 25 on average are"),
        ("fpr=0.3333333", "Of 10,000 real images like R, at most 3,334 on average are"),
        ("fdr=10%", "Of 100 images flagged in a batch, at most 10 on average are real"),
    ],
)
def test_a_guarantee_is_told_in_whole_images(guarantee: str, words: str) -> None:
    """A share becomes a number of a hundred, or of more where it is none of a hundred."""
    assert words in guarantee_of(guarantee).sentence("R")


def test_a_calibrated_policy_promises_what_it_was_calibrated_for(
    made: Made, policy: Policy
) -> None:
    """64 reals are enough for 5 % at 95 %; the domain with 60 has it by itself, the other not."""
    promise = promise_of(made.lake, policy, KEY)
    assert promise.is_given
    assert sentence_of(promise) == (
        "Of 100 real images like the 64 calibrated on, at most 5 on average are flagged by the"
        " score; this holds with 95 % confidence. It is about the mixture of all domains among"
        " these, not about each domain by itself. It holds for the domain photos by itself too."
    )
    assert statement_of(promise) == f"{sentence_of(promise)} {LIMITS}"
    assert [(one.domain, one.n_reals, one.state) for one in promise.thresholds] == [
        (None, 64, "holds"),
        ("photos", 60, "holds"),
    ]


def test_precision_is_that_of_the_posteriors_of_both_rates(made: Made, policy: Policy) -> None:
    """No real of 64 and 22 of 24 fakes are flagged: against quadrature over both posteriors."""
    pooled = promise_of(made.lake, policy, KEY).thresholds[0]
    assert pooled.found is not None
    n_found = round(24 * pooled.found.value)
    assert n_found == 22
    # Equal quantiles of both rates stand for their distributions.
    at = (np.arange(1500) + 0.5) / 1500
    tpr = beta(n_found + 0.5, 24 - n_found + 0.5).ppf(at)[:, None]
    fpr = beta(0.5, 64.5).ppf(at)[None, :]
    for share, found in pooled.precision().items():
        all_ = share * tpr / (share * tpr + (1 - share) * fpr)
        expected = np.quantile(all_, [0.025, 0.5, 0.975])
        np.testing.assert_allclose([found.low, found.value, found.high], expected, atol=0.012)


def test_the_number_of_real_flags_is_bounded_by_their_distribution(
    made: Made, policy: Policy
) -> None:
    """No real of 64 is flagged: reals of 200 above the highest follow a beta-binomial law."""
    pooled = promise_of(made.lake, policy, KEY).thresholds[0]
    assert pooled.n_reals_flagged == 0
    law = betabinom(200, 1, 64)
    most = pooled.most_real(200)
    assert most is not None
    assert law.ppf(0.95) <= most <= law.ppf(0.9999)
    alone = Promise(next_step="", thresholds=(pooled,))
    assert f"flagged here, at most {most} are real, with 95 % confidence" in flagged_words(
        alone, 200, 90
    )
    assert flagged_words(alone, 200, most) == ""
    assert dataclasses.replace(pooled, n_reals_flagged=64).most_real(200) is None


@pytest.mark.parametrize(
    ("flag_at", "state", "has_precision"),
    [(0.1, "broken", False), (0.9, "holds", False), (None, "holds", True)],
)
def test_a_changed_threshold_keeps_the_promise_only_where_it_flags_less(
    made: Made, policy: Policy, flag_at: float | None, state: str, has_precision: bool
) -> None:
    """A lower threshold breaks it; a higher one keeps it, with a precision nobody measured."""
    changed = policy if flag_at is None else with_flag_at(policy, flag_at)
    promise = promise_of(made.lake, changed, KEY)
    assert promise.thresholds[0].state == state
    assert bool(promise.thresholds[0].precision()) is has_precision
    if state == "broken":
        assert sentence_of(promise).startswith("No guarantee: the policy flags from 0.1, below the")


def test_other_scores_and_a_missing_calibration_have_no_guarantee(
    made: Made, policy: Policy
) -> None:
    """The sentence names the two kinds of scores, or the calibration that is not there."""
    other = promise_of(made.lake, policy, dataclasses.replace(KEY, precision="int8"))
    assert not other.is_given
    assert "the calibration is of scores by" in sentence_of(other)
    missing = policy.model_copy(update={"calibration": "c-000000000000"})
    assert "c-000000000000, which this lake" in sentence_of(promise_of(made.lake, missing, KEY))


def test_too_few_reals_say_how_many_are_missing(made: Made) -> None:
    """299 are needed for 1 %, 64 are there."""
    promise = promise_of(made.lake, policy_of(made, "fpr=1%@95%"), KEY)
    assert sentence_of(promise).startswith("No image is flagged by its score alone: fpr=1%@95%")
    assert "label 235 more" in sentence_of(promise)


def test_flags_by_p_values_have_the_level_of_the_policy(made: Made) -> None:
    """The policy's own level counts, and a policy without one flags by thresholds nobody set."""
    policy = policy_of(made, "fdr=10%")
    promise = promise_of(made.lake, policy.model_copy(update={"fdr": 0.2}), KEY)
    assert sentence_of(promise).startswith("Of 100 images flagged in a batch, at most 20 on")
    without = promise_of(made.lake, policy.model_copy(update={"fdr": None}), KEY)
    assert "is about p-values, and the policy flags by thresholds" in sentence_of(without)


def test_thresholds_of_named_domains_promise_nothing_elsewhere(made: Made) -> None:
    """Calibrated for one domain, the others keep thresholds that rest on no labels."""
    policy = policy_of(made, domains=("photos",))
    promise = promise_of(made.lake, policy, KEY)
    assert sentence_of(promise).startswith("In the domain photos: of 100 real images like those")
    run = find_run(made.lake, made.run_id)
    collector = Collector(made.lake, run, policy)
    gather(made.lake, run, policy, also=collector.add)
    rows = by_domain(promise, collector.sections([], all_up_to=0).domains)
    assert [(one.row.name, one.guarantee) for one in rows] == [
        ("photos", "its own"),
        ("no domain", "none: not calibrated"),
        (ODD, "none: not calibrated"),
    ]


def test_the_precision_at_the_share_of_an_audit_covers_both_uncertainties(tmp_path: Path) -> None:
    """Nothing without answers; with some, from no fake at all up to the highest possible share."""
    shots = [
        Shot(
            name=f"{i}",
            prob=float(expit(i - 9)),
            seed=i,
            label=("real", "fake")[i // 10],
            size=SIDE,
        )
        for i in range(15)
    ]
    made = lake_of(tmp_path / "lake", shots)
    policy = policy_of(made, "fpr=30%@90%")
    draw_audit(made.lake, run_id=made.run_id, n_images=10)
    assert promise_of(made.lake, policy, KEY).prevalence is None
    answers = [
        {
            "image_id": made.ids[f"{i}"],
            "label": "real",
            "reviewer": "ann",
            "note": None,
            "reviewed_at": START,
        }
        for i in range(10)
    ]
    made.lake.append("reviews", answers, txn="answers")
    promise = promise_of(made.lake, policy, KEY)
    audit = read_audit(made.lake)
    assert promise.prevalence == audit.estimate.prevalence
    assert promise.prevalence is not None
    audited = promise.thresholds[0].audited(promise.audit)
    assert audited is not None
    counts = {"n_fakes": 5, "n_fakes_flagged": 5, "n_reals": 10, "n_reals_flagged": 0}
    assert audited.low == promise.prevalence.low == 0
    assert audited.high > precision_at(promise.prevalence.high, **counts).high
    assert audited.value == pytest.approx(
        precision_at(promise.prevalence.value, **counts).value, abs=1e-3
    )
    unanswered = {"flag": Stratum(n_all=1, n_drawn=1, n_labelled=0, n_fake=0)}
    partly = dataclasses.replace(audit, strata=audit.strata | unanswered)
    assert dataclasses.replace(promise, audit=partly).prevalence is None
    assert promise.thresholds[0].audited(partly) is None


def test_the_report_of_a_calibrated_run_has_sentence_figures_diagram_and_domains(
    made: Made, policy: Policy
) -> None:
    """All of it is there without scripts, and names of domains are text."""
    decided_again(made, policy, "r-calibrated")
    html = Path(write_report(made.lake, run_id="r-calibrated")).read_text(encoding="utf-8")
    page = Page(html)
    assert_is_closed(page)
    assert_is_well_formed(html)
    assert "What the threshold promises Of 100 real images like the 64 calibrated on" in page.text
    assert "None of this holds for images of another source or domain" in page.text
    assert "all domains 64, 24 91.7 % 73.0 to 99.0 %" in page.text
    assert "photos its own 0.1141 60 0 of 60 \N{EN DASH}" in page.text
    assert "<b>\N{REPLACEMENT CHARACTER}art of all domains together" in page.text
    assert page.attributes("circle", "class").count("rel-point") >= 2


def test_the_report_of_a_run_without_calibration_says_what_to_run(made: Made) -> None:
    """One line and one command, no empty table."""
    page = Page(Path(write_report(made.lake, run_id=made.run_id)).read_text(encoding="utf-8"))
    assert "No guarantee: these thresholds rest on no labelled images of yours." in page.text
    assert f"assay calibrate --lake {made.lake.uri} sets thresholds" in page.text
    assert "Calibrated probabilities" not in page.text
    assert "Thresholds per domain" not in page.text
