"""The signal card says what a policy lets a detector do, and what was measured."""

from __future__ import annotations

import numpy as np
import pytest
from lakes import KEY, Made, Shot, lake_of
from scipy.special import expit

from assay.tasks.accountability.signal_card import signal_card
from assay.tasks.calibrate.calibrate import calibrate
from assay.tasks.calibrate.guarantee import guarantee_of
from assay.tasks.decide.policy_file import load_policy


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
    assert "not calibrated on your images" in card
    assert "run `assay calibrate`" in card


def test_calibrated_policy_states_its_limits(made: Made) -> None:
    """60 reals give 5 % at 95 %; all 20 fakes lie above the highest real."""
    policy = calibrate(made.lake, guarantee_of("fpr=5%"), base=load_policy()).policy
    card = signal_card(made.lake, policy, KEY)
    assert "At most 5 % of real images are flagged, with 95 % confidence." in card
    assert "| all | 60 | 20 | 0.1192 | 100.0 % (83.2 to 100.0 %) |" in card


def test_policy_without_the_guarantee_leaves_flags_to_people(made: Made) -> None:
    """60 reals are too few for 1 %."""
    policy = calibrate(made.lake, guarantee_of("fpr=1%"), base=load_policy()).policy
    assert "nothing is flagged without a person" in signal_card(made.lake, policy, KEY)
