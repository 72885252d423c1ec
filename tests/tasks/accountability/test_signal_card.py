"""The signal card says what a policy lets a detector do, and what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from lakes import KEY, START, Made, Shot, lake_of, reviewed
from scipy.special import expit

from assay.data.vocabulary import Decision
from assay.synth.laundering import DELIVERIES
from assay.tasks.accountability.signal_card import signal_card
from assay.tasks.audit.audits import draw_audit
from assay.tasks.calibrate.calibrate import calibrate
from assay.tasks.calibrate.guarantee import guarantee_of
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy import PixelRules
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.detector.weights.registry import card_by_name
from assay.tasks.hashes.known_hashes import add_hashes
from assay.tasks.promise.promise import promise_of
from assay.tasks.promise.words import statement_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """60 real and 20 fake images without overlap of their scores."""
    reals = [
        Shot(name=f"r{i}.jpg", prob=float(expit(at)), seed=i, label="real")
        for i, at in enumerate(np.linspace(-5, -2, 60))
    ]
    fakes = [Shot(name=f"f{i}.jpg", prob=0.9, seed=100 + i, label="fake") for i in range(20)]
    return lake_of(tmp_path_factory.mktemp("lake"), [*reals, *fakes])


def test_without_a_calibration_nothing_was_measured(made: Made) -> None:
    """The card says so, and what to do."""
    card = signal_card(made.lake, load_policy(), KEY)
    assert "- No guarantee: these thresholds rest on no labelled images" in card
    assert "run `assay calibrate`" in card


def test_calibrated_policy_states_its_limits(made: Made) -> None:
    """60 reals give 5 % at 95 %; all 20 fakes lie above the highest real."""
    policy = calibrate(made.lake, guarantee_of("fpr=5%"), base=load_policy()).policy
    card = signal_card(made.lake, policy, KEY)
    assert f"- {statement_of(promise_of(made.lake, policy, KEY))}" in card
    assert "Of 100 real images like the 60 calibrated on, at most 5 on average" in card
    assert "| all | 60 | 20 | 0.1192 | 100.0 % (83.2 to 100.0 %) |" in card


def test_policy_without_the_guarantee_leaves_flags_to_people(made: Made) -> None:
    """60 reals are too few for 1 %."""
    policy = calibrate(made.lake, guarantee_of("fpr=1%"), base=load_policy()).policy
    assert "nothing is flagged without a person" in signal_card(made.lake, policy, KEY)


def test_what_was_not_measured_is_said(made: Made) -> None:
    """Each measure names the command that takes it."""
    card = signal_card(made.lake, load_policy(), KEY)
    assert "- Audit: none of decisions by this policy; `assay audit draw` draws one." in card
    assert "- Deliveries: no flag was scored again; `--delivery flags` does so." in card
    assert "- Shortcut: not measured, which takes 30 labelled real and 30 fake images." in card


def test_the_last_audit_of_the_policy_is_stated(tmp_path: Path) -> None:
    """All four images are drawn and answered: one of two flagged is fake, and one of two cleared.

    So every interval is a point, and half of the fakes are flagged.
    """
    made = lake_of(tmp_path, four())
    draw_audit(made.lake, n_images=100, cleared_share=1)
    for name, label in (("a", "fake"), ("b", "real"), ("c", "fake"), ("d", "real")):
        reviewed(made, name, label)
    card = signal_card(made.lake, load_policy(), KEY)
    half = "50.0 % (50.0 to 50.0 %)"
    assert "4 of 4 drawn images labelled" in card
    assert f"right among the flagged {half}; fakes that are flagged {half}" in card
    assert f"fakes among the cleared {half}." in card
    other = load_policy().model_copy(update={"name": "other"})
    assert "- Audit: none of decisions by this policy" in signal_card(made.lake, other, KEY)


def test_flags_that_did_not_hold_are_counted(tmp_path: Path) -> None:
    """Of two flags with a logit of 2, saved again one scores 1.5 and one -1."""
    made = lake_of(tmp_path, four())
    rows = [
        {
            "image_id": made.ids[name],
            **KEY.as_row(),
            "backend": "torch-cpu",
            "delivery": DELIVERIES[0].name,
            "status": "scored",
            "reason": None,
            "logit": logit,
            "run_id": made.run_id,
            "scored_at": START,
        }
        for name, logit in (("a", 1.5), ("b", -1.0))
    ]
    made.lake.append("deliveries", rows, txn="deliveries")
    policy = load_policy()
    decide_images(made.lake, image_ids=None, key=KEY, policy=policy, run_id=made.run_id)
    card = signal_card(made.lake, policy, KEY)
    assert "of 2 scores at or above the flag threshold 1 did not hold" in card
    assert "50.0 % (1.3 to 98.7 %)" in card
    assert "1.75 below the image's own logit in the median and 3.00 at most" in card


def test_files_that_tell_the_classes_apart_are_named(tmp_path: Path) -> None:
    """All reals are JPEG files and all fakes PNG files, as many as the measure takes."""
    shots = [
        Shot(name=f"{kind}{i}", seed=100 * number + i, label=label, format=kind)
        for number, (kind, label) in enumerate((("JPEG", "real"), ("PNG", "fake")))
        for i in range(30)
    ]
    card = signal_card(lake_of(tmp_path, shots).lake, load_policy(), KEY)
    assert "with an AUC of 1.00 (1.00 to 1.00)." in card
    assert "may come from the files in place of their content" in card


def test_rules_of_the_policy_that_leave_images_to_people_are_listed(tmp_path: Path) -> None:
    """Rules on pixels, copies, and the lists of known hashes."""
    made = lake_of(tmp_path, four())
    hashes = pl.DataFrame(
        {"hash": ["0" * 64, "f" * 64], "note": [None, None]}, schema_overrides={"note": pl.String}
    )
    add_hashes(made.lake, hashes, list_name="partner", decision=Decision.FLAG)
    policy = load_policy().model_copy(
        update={"copies": "together", "pixels": PixelRules(min_detail=0.38, graphics="review")}
    )
    card = signal_card(made.lake, policy, KEY)
    assert "- Pixels or a file below `min_detail = 0.38`." in card
    assert "- A flag of a graphic" in card
    assert "- What a copy is decided as" in card
    assert "list partner: 2 of its 2 hashes flag" in card


def test_a_registered_detector_is_described_by_its_own_card(made: Made) -> None:
    """The weights name the card; other weights have none."""
    card = card_by_name("mini")
    assert card is not None
    key = replace(KEY, weights_sha256=card.weights_sha256)
    assert f"- Known errors: {card.limits}" in signal_card(made.lake, load_policy(), key)
    assert "Its weights are not registered" in signal_card(made.lake, load_policy(), KEY)


def four() -> list[Shot]:
    """Return two images with a logit of 2, above the threshold of a flag, and two of -2."""
    logits = {"a": 2.0, "b": 2.0, "c": -2.0, "d": -2.0}
    return [
        Shot(name=name, prob=float(expit(at)), seed=seed)
        for seed, (name, at) in enumerate(logits.items())
    ]
