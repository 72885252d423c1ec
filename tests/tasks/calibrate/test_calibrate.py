"""From labelled images of a lake to thresholds, p-values and decisions."""

from __future__ import annotations

import dataclasses
import tomllib

import numpy as np
import polars as pl
import pytest
from lakes import KEY, Made, Shot, lake_of, reviewed
from scipy.special import expit

from assay.data.errors import ConfigError, InputError
from assay.tasks.calibrate.calibrate import CalibrateResult, calibrate, calibration_of
from assay.tasks.calibrate.guarantee import guarantee_of
from assay.tasks.calibrate.labelled import Labelled, read_labelled
from assay.tasks.calibrate.policy_text import policy_text
from assay.tasks.decide.calibration import find_calibration
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import load_policy, policy_from_dict

FPR = guarantee_of("fpr=5%@95%")


def labelled(reals: np.ndarray, fakes: np.ndarray, domain: str | None = None) -> Labelled:
    logits = np.concatenate([reals, fakes]).astype(np.float32)
    rows = pl.DataFrame(
        {
            "image_id": [f"{i:064x}" for i in range(len(logits))],
            "logit": logits,
            "domain": pl.Series([domain] * len(logits), dtype=pl.String),
            "is_fake": [False] * len(reals) + [True] * len(fakes),
        }
    )
    return Labelled(rows=rows, n_images=len(logits), n_disputed=0, n_unscored=0)


def calibrated(some: Labelled, guarantee: str = "fpr=5%@95%") -> CalibrateResult:
    return calibration_of(some, KEY, guarantee_of(guarantee), base=load_policy())


def test_flag_threshold_is_just_above_the_real_of_the_rank() -> None:
    """With 59 reals and 5 % at 95 %, nothing at or below the highest real is flagged."""
    reals = np.linspace(-6, -0.5, 59)
    found = calibrated(labelled(reals, np.array([-0.5, -0.4, 3.0])))
    band, _ = found.policy.band(KEY.detector)
    highest = np.float32(expit(float(np.float32(-0.5))))
    assert np.float32(band.flag_at) == np.nextafter(highest, np.float32(1))
    assert found.thresholds[None].found is not None
    assert found.thresholds[None].found.value == pytest.approx(2 / 3)


def test_too_few_reals_leave_flags_to_people_and_say_how_many_are_missing() -> None:
    """With 58 of 59 reals, images above the threshold go to review as uncalibrated."""
    found = calibrated(labelled(np.linspace(-6, -0.5, 58), np.array([3.0])))
    assert "needs 59 labelled real images, 58 are there: label 1 more" in policy_text(
        found
    ).replace("\n# ", " ")
    band, _ = found.policy.band(KEY.detector)
    assert not band.may_flag


def test_domain_with_enough_reals_has_thresholds_of_its_own() -> None:
    """Of two domains, the one with 60 reals is calibrated by itself, the one with 10 is not."""
    photos = labelled(np.linspace(-6, -3, 60), np.array([]), "photos").rows
    art = labelled(np.linspace(-1, 1, 10), np.array([]), "art").rows
    found = calibrated(
        dataclasses.replace(labelled(np.array([]), np.array([])), rows=pl.concat([photos, art]))
    )
    assert found.too_few == {"art": 10}
    own, _ = found.policy.band(KEY.detector, "photos")
    pooled, is_listed = found.policy.band(KEY.detector, "art")
    assert own.flag_at < 0.05
    assert pooled.flag_at > 0.7
    assert not is_listed


def test_reals_with_a_score_of_one_leave_no_score_above_them() -> None:
    """A logit of 40 is a score of exactly 1, which nothing exceeds."""
    found = calibrated(labelled(np.linspace(30, 40, 59), np.array([50.0])))
    assert found.thresholds[None].flag_at is None
    assert "score 1" in str(found.thresholds[None].why_no_flag)


def test_policy_text_reads_back_as_the_same_policy() -> None:
    """The file that a person reviews has the identity of the policy that was computed."""
    for guarantee in ("fpr=5%", "fdr=20%"):
        some = labelled(np.linspace(-6, 0, 80), np.linspace(-1, 6, 40), 'ph"otos')
        found = calibrated(some, guarantee)
        read = policy_from_dict(tomllib.loads(policy_text(found)), source="text")
        assert read.policy_id == found.policy.policy_id


def test_no_real_image_is_an_error_that_says_how_many_are_needed() -> None:
    """Fakes alone say nothing about false positives."""
    with pytest.raises(InputError, match=r"no image labelled `real`.*3 labelled fake.*needs 59"):
        calibrated(labelled(np.array([]), np.ones(3)))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """64 reals from -5 to -1.85, 30 fakes from 0 to 2.9, and unlabelled images."""
    reals = [
        Shot(
            name=f"r{i}.jpg",
            prob=float(expit(-5 + 0.05 * i)),
            seed=i,
            label="real",
            size=(640, 480),
        )
        for i in range(64)
    ]
    fakes = [
        Shot(name=f"f{i}.jpg", prob=float(expit(0.1 * i)), seed=100 + i, label="fake")
        for i in range(30)
    ]
    others = [
        Shot(name="copy.jpg", prob=0.01, seed=3, label="real", quality=60),
        Shot(name="unsure.jpg", prob=0.9, seed=201),
        Shot(name="unscored.jpg", prob=None, seed=202, label="real"),
        Shot(name="disputed.jpg", prob=0.5, seed=203),
    ]
    made = lake_of(tmp_path_factory.mktemp("lake"), [*reals, *fakes, *others])
    reviewed(made, "disputed.jpg", "real", "ann")
    reviewed(made, "disputed.jpg", "fake", "bob")
    return made


def test_copies_disputes_and_images_without_a_score_are_left_out(lake: Made) -> None:
    """One image per group counts; contradicting labels and missing scores are counted apart."""
    found = read_labelled(lake.lake, KEY)
    assert found.rows["is_fake"].to_list().count(False) == 64
    assert (found.n_images, found.n_disputed, found.n_unscored) == (95, 1, 1)


def policy_with(lake: Made, guarantee: str) -> Policy:
    base = load_policy().model_copy(update={"min_short_edge_px": 0})
    return calibrate(lake.lake, guarantee_of(guarantee), base=base).policy


def test_decisions_carry_p_values_and_probabilities_of_the_calibration(lake: Made) -> None:
    """An image above all 64 reals has p = 1 / 65; scores stay as they are."""
    policy = policy_with(lake, "fpr=5%@95%")
    before = lake.lake.version("scores")
    counts = decide_images(lake.lake, image_ids=None, key=KEY, policy=policy, run_id="r-1")
    rows = lake.lake.scan("decisions").filter(pl.col("policy_id") == policy.policy_id).collect()
    assert lake.lake.version("scores") == before
    assert counts["flag"] >= 30
    best = rows.filter(pl.col("image_id") == lake.ids["f29.jpg"]).row(0, named=True)
    assert best["decision"] == "flag"
    assert best["calibration_id"] == policy.calibration
    assert best["p_real"] == pytest.approx(1 / 65)
    stored = find_calibration(lake.lake, str(policy.calibration))
    assert stored.map is not None
    expected = stored.map.apply(np.array([2.9], dtype=np.float32))[0]
    assert best["prob_calibrated"] == pytest.approx(expected, abs=1e-5)
    unscored = rows.filter(pl.col("image_id") == lake.ids["unscored.jpg"]).row(0, named=True)
    assert (unscored["p_real"], unscored["calibration_id"]) == (None, None)


def test_flags_under_fdr_are_those_of_the_batch(lake: Made) -> None:
    """A batch of fakes is flagged; one fake among many reals is not, at the same score."""
    policy = policy_with(lake, "fdr=10%")
    fakes = pl.Series([lake.ids[f"f{i}.jpg"] for i in range(20, 30)])
    reals = pl.Series([lake.ids[f"r{i}.jpg"] for i in range(60)])
    alone = decide_images(lake.lake, image_ids=fakes, key=KEY, policy=policy, run_id="r-2")
    among = decide_images(
        lake.lake, image_ids=pl.concat([reals, fakes[:1]]), key=KEY, policy=policy, run_id="r-3"
    )
    assert alone["flag"] == 10
    assert among["flag"] == 0


def test_policy_of_an_unknown_calibration_is_refused_with_the_known_ones(lake: Made) -> None:
    """Nothing is decided by p-values that cannot be computed."""
    policy = policy_with(lake, "fpr=5%@95%")
    other = policy.model_copy(update={"calibration": "c-000000000000"})
    with pytest.raises(ConfigError, match=f"c-000000000000.*{policy.calibration}"):
        decide_images(lake.lake, image_ids=None, key=KEY, policy=other, run_id="r-4")


def test_fdr_with_scores_of_another_precision_is_refused(lake: Made) -> None:
    """P-values compare scores of one kind only."""
    policy = policy_with(lake, "fdr=10%")
    other = dataclasses.replace(KEY, precision="bf16")
    with pytest.raises(ConfigError, match="p-values"):
        decide_images(lake.lake, image_ids=None, key=other, policy=policy, run_id="r-5")


def test_equal_labels_give_the_same_calibration_once(lake: Made) -> None:
    """The id is a hash of the content, and a repeated calibration writes no rows."""
    first = policy_with(lake, "fpr=5%@95%")
    n_rows = lake.lake.n_rows("calibrations")
    assert policy_with(lake, "fpr=5%@95%").calibration == first.calibration
    assert lake.lake.n_rows("calibrations") == n_rows
