"""Explanations of decisions: the rule that held, and what would have changed it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from lakes import KEY, Made, Shot, lake_of, reviewed

from assay.data.errors import InputError
from assay.data.images.pixel_facts import measure_pixels
from assay.data.vocabulary import Decision
from assay.flows.deciding.decide_again import decide_again, shadow
from assay.synth.laundering import DELIVERIES
from assay.tasks.accountability.explain_decision import ExplainedDecision, explain_decision
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.hashes.known_hashes import add_hashes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Decisions by the packaged policy, recorded by a run."""
    shots = [
        Shot(name="flagged.jpg", prob=0.9, seed=1),
        Shot(name="small.jpg", prob=0.9, seed=2, size=(400, 300)),
        Shot(name="declared.jpg", prob=0.1, seed=3, ai_declared="c2pa"),
        Shot(name="clear.jpg", prob=0.1, seed=4),
        Shot(name="unscored.jpg", prob=None, seed=5),
    ]
    made = lake_of(tmp_path_factory.mktemp("lake"), shots)
    decide_again(made.lake, shadow(made.lake, load_policy()))
    reviewed(made, "flagged.jpg", "real", "ann")
    return made


def explained(made: Made, name: str) -> ExplainedDecision:
    return explain_decision(made.lake, made.ids[name])


def otherwise(found: ExplainedDecision) -> dict[str, str]:
    return {one.change: one.decision for one in found.otherwise}


def test_a_flag_names_rule_threshold_and_people(made: Made) -> None:
    """A score of 0.9 is above 0.65; below it the image would have gone to review."""
    found = explained(made, "flagged.jpg")
    assert (found.decision, found.flag_at) == ("flag", 0.65)
    assert found.reasons == ("score at or above the flag threshold",)
    assert otherwise(found) == {
        "a score below the flag threshold, 0.6500": "review",
        "a score below the review threshold, 0.3500": "clear",
    }
    assert [one["reviewer"] for one in found.people] == ["ann"]
    assert "ann answered real" in found.text()
    assert "automated" in found.text()
    assert "guarantee   No guarantee: these thresholds rest on no labelled" in found.text()


def test_a_small_image_would_be_flagged_if_it_were_larger(made: Made) -> None:
    """Its size decided, not its score."""
    assert otherwise(explained(made, "small.jpg")) == {"a short edge of 440 px or more": "flag"}


def test_a_declared_image_would_be_cleared_without_its_declaration(made: Made) -> None:
    """And flagged with a higher score."""
    assert otherwise(explained(made, "declared.jpg")) == {
        "a score of 0.6500, the flag threshold": "flag",
        "no declaration in its metadata": "clear",
    }


def test_an_image_without_a_score_has_no_other_decision(made: Made) -> None:
    """No change of a single fact decides it otherwise."""
    found = explained(made, "unscored.jpg")
    assert (found.score, found.otherwise) == (None, ())
    assert "no change of a single fact" in found.text()


def test_inputs_are_compared_with_those_of_the_log(made: Made) -> None:
    """A new sighting with another domain is no longer what the decision was made from."""
    assert explained(made, "clear.jpg").are_inputs_unchanged
    row = made.lake.scan("sightings").head(1).collect().row(0, named=True)
    later = row | {"image_id": made.ids["clear.jpg"], "domain": "art", "source_uri": "file:///x"}
    made.lake.append("sightings", [later], txn="later")
    assert explained(made, "clear.jpg").are_inputs_unchanged is False


def test_json_has_the_same_facts(made: Made) -> None:
    """It can be stored as a statement of reasons."""
    values = json.loads(json.dumps(explained(made, "flagged.jpg").to_json(), default=str))
    assert values["decision"] == "flag"
    assert values["automated"] is True
    assert values["otherwise"][0]["decision"] == "review"


def test_an_image_without_a_decision_is_refused(made: Made) -> None:
    """The message says which command decides."""
    with pytest.raises(InputError, match="assay score"):
        explain_decision(made.lake, "0" * 64)
    assert made.lake.scan("decisions").filter(pl.col("image_id") == "0" * 64).collect().is_empty()


def test_hashes_groups_and_deliveries_say_what_they_changed(tmp_path: Path) -> None:
    """Without its copy, its match or its delivery, each image has the decision of its score."""
    shots = [
        Shot(name="large.jpg", prob=0.9, seed=1, size=(960, 880)),
        Shot(name="copy.jpg", prob=0.1, seed=1),
        Shot(name="listed.jpg", prob=0.1, seed=2),
        Shot(name="unstable.jpg", prob=0.9, seed=3),
    ]
    made = lake_of(tmp_path, shots)
    own = measure_pixels(made.lake.image(made.ids["listed.jpg"])).pdq
    hashes = pl.DataFrame({"hash": [own], "note": ["seen before"]})
    add_hashes(made.lake, hashes, list_name="known", decision=Decision.FLAG)
    delivery = KEY.as_row() | {
        "image_id": made.ids["unstable.jpg"],
        "backend": "torch-cpu",
        "delivery": DELIVERIES[0].name,
        "status": "scored",
        "reason": None,
        "logit": -1.0,
        "run_id": made.run_id,
        "scored_at": datetime(2026, 3, 2, tzinfo=UTC),
    }
    made.lake.append("deliveries", [delivery], txn="delivery")
    policy = policy_from_dict(load_policy().as_dict() | {"name": "other"}, source="test")
    decide_again(made.lake, shadow(made.lake, policy, measures=True))
    expected = {
        "copy.jpg": ("flag", {"no copies that are decided together": "clear"}),
        "listed.jpg": ("flag", {"no match with a known hash": "clear"}),
        "unstable.jpg": ("review", {"deliveries that score as high": "flag"}),
    }
    for name, (decision, changes) in expected.items():
        found = explained(made, name)
        assert found.decision == decision
        assert changes.items() <= otherwise(found).items()
        assert found.are_inputs_unchanged
    assert found.facts["logits of its deliveries"] == "-1.000 to -1.000, of 1 of 2 scored"
