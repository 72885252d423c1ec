"""From labelled embeddings to a rule on images that are unlike them, in a lake."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from lakes import KEY, START, Made, Shot, lake_of

from assay.data.errors import ConfigError
from assay.tasks.accountability.explain_decision import explain_decision
from assay.tasks.calibrate.calibrate import CalibrateResult, calibrate
from assay.tasks.calibrate.guarantee import guarantee_of
from assay.tasks.calibrate.policy_text import policy_text
from assay.tasks.decide.calibration import find_calibration, store_calibration
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.promise.promise import promise_of
from assay.tasks.promise.words import statement_of

RUN = "20260302T120000Z-00000001"
ANGLES = {"like.jpg": 15.3, "unlike.jpg": 90.0, "unlike clear.jpg": 91.0}


def made_lake(folder: Path, n_reals: int = 24) -> Made:
    """Make reals one degree apart, a fake at 10.5 degrees, and images at `ANGLES`."""
    reals = [Shot(name=f"r{i}", prob=0.05, seed=i, label="real") for i in range(n_reals)]
    others = [
        Shot(name="fake", prob=0.95, seed=101, label="fake"),
        *(
            Shot(name=name, prob=0.01 if "clear" in name else 0.9, seed=102 + number)
            for number, name in enumerate(ANGLES)
        ),
    ]
    made = lake_of(folder, [*reals, *others])
    angles = {f"r{i}": float(i) for i in range(n_reals)} | {"fake": 10.5} | ANGLES
    at = {image_id: math.radians(angles[name]) for name, image_id in made.ids.items()}
    rows = made.lake.scan("scores").collect().to_dicts()
    later = [
        row
        | {
            "embedding": [math.cos(at[row["image_id"]]), math.sin(at[row["image_id"]])],
            "scored_at": START + timedelta(days=1),
        }
        for row in rows
    ]
    (Path(made.lake.uri) / "tables" / "scores").rename(folder / "scores of another detector")
    again = dataclasses.replace(made, lake=type(made.lake)(folder))
    again.lake.append("scores", later, txn="embedded")
    return again


def calibrated(made: Made, **rules: Any) -> CalibrateResult:
    base = load_policy().model_copy(update={"min_short_edge_px": 0, **rules})
    return calibrate(made.lake, guarantee_of("fdr=10%"), base=base)


def by_score(policy: Policy) -> Policy:
    """Return the policy with thresholds on the score in place of a share per batch."""
    return policy.model_copy(update={"fdr": None, "detectors": {}})


def recorded(made: Made, policy: Policy) -> None:
    """Record the run, as the commands do."""
    row = made.lake.scan("runs").collect().row(0, named=True)
    params = {**KEY.as_row(), "policy_id": policy.policy_id, "policy_rules": policy.as_dict()}
    made.lake.append("runs", [row | {"run_id": RUN, "params": json.dumps(params)}], txn="again")


def decided(made: Made, policy: Policy, ids: list[str] | None = None) -> dict[str, dict[str, Any]]:
    wanted = None if ids is None else pl.Series("image_id", ids)
    decide_images(made.lake, image_ids=wanted, key=KEY, policy=policy, run_id=RUN)
    names = {image_id: name for name, image_id in made.ids.items()}
    rows = made.lake.scan("decisions").filter(pl.col("run_id") == RUN).collect()
    return {names[row["image_id"]]: row for row in rows.iter_rows(named=True)}


@pytest.mark.parametrize("are_named", [False, True])
def test_a_flag_unlike_the_labelled_images_goes_to_people(tmp_path: Path, are_named: bool) -> None:
    """24 reals give p = 1 / 25, below 5 %; a clear stays clear; named images are the same."""
    made = made_lake(tmp_path)
    policy = by_score(calibrated(made).policy)
    rows = decided(made, policy, [made.ids[name] for name in ANGLES] if are_named else None)
    words = {name: [rows[name]["decision"], *rows[name]["reasons"]] for name in ANGLES}
    assert words == {
        "like.jpg": ["flag", "at_or_above_flag_threshold"],
        "unlike.jpg": ["review", "out_of_domain", "at_or_above_flag_threshold"],
        "unlike clear.jpg": ["clear", "out_of_domain", "below_review_threshold"],
    }
    assert rows["unlike.jpg"]["p_domain"] == pytest.approx(1 / 25)
    assert rows["like.jpg"]["p_domain"] == 1


def test_the_explanation_has_the_distance_its_p_value_and_what_would_change_it(
    tmp_path: Path,
) -> None:
    """The nearest labelled image of one at 90 degrees is at 23 degrees."""
    made = made_lake(tmp_path)
    policy = by_score(calibrated(made).policy)
    decided(made, policy)
    recorded(made, policy)
    found = explain_decision(made.lake, made.ids["unlike.jpg"], run_id=RUN)
    assert found.domain_distance == pytest.approx(1 - math.cos(math.radians(67)), abs=1e-5)
    assert found.p_domain == pytest.approx(1 / 25)
    assert found.are_inputs_unchanged
    assert found.guarantee == statement_of(promise_of(made.lake, policy, KEY))
    assert "of 1,000 labelled real images, about 40 are as far" in found.text()
    assert "with labelled images that are like it: flag" in found.text()


def test_the_calibration_covers_its_embeddings(tmp_path: Path) -> None:
    """It reads back equal; another embedding is another id, and none is the id of before."""
    made = made_lake(tmp_path)
    first = calibrated(made).calibration
    stored = find_calibration(made.lake, first.calibration_id)
    assert stored.calibration_id == first.calibration_id
    near = first.embeddings[None]
    moved = near.references.copy()
    moved[0] = [0, 1]
    other = dataclasses.replace(
        first, embeddings={None: dataclasses.replace(near, references=moved)}
    )
    bare = dataclasses.replace(first, embeddings={})
    assert len({one.calibration_id for one in (first, other, bare)}) == 3


def test_a_calibration_without_embeddings_cannot_be_asked_for_distances(tmp_path: Path) -> None:
    """One of an earlier version is refused by the rule, and is as good as before without it."""
    made = made_lake(tmp_path)
    found = calibrated(made)
    name = store_calibration(made.lake, dataclasses.replace(found.calibration, embeddings={}))
    older = by_score(found.policy).model_copy(update={"calibration": name})
    with pytest.raises(ConfigError, match=f"{name} has no embeddings.*assay calibrate"):
        decided(made, older)
    rows = decided(made, older.model_copy(update={"out_of_domain": None}))
    assert (rows["unlike.jpg"]["decision"], rows["unlike.jpg"]["p_domain"]) == ("flag", None)


def test_the_policy_file_says_what_the_rule_costs_or_why_there_is_none(tmp_path: Path) -> None:
    """The only fake lies among the reals; 18 reals have no p-value of 5 %."""
    text = policy_text(calibrated(made_lake(tmp_path / "enough"))).replace("\n# ", " ")
    assert "[out_of_domain]\nlevel = 0.05" in text
    assert "unlike 24 labelled real and 1 fake image" in text
    assert "Of the labelled fakes, each compared with the others, 0.0 %" in text
    few = calibrated(made_lake(tmp_path / "few", n_reals=18))
    assert few.policy.out_of_domain is None
    assert few.calibration.facts["out_of_domain"] == {}
