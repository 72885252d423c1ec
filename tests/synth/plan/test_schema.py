"""The JSON Schema of plans agrees with the reader of plans."""

import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from assay.synth.methods.registry import method_names, method_of
from assay.synth.plan.example import EXAMPLE_PLAN
from assay.synth.plan.models import plan_model, plan_schema
from assay.synth.plan.plan_file import plan_of_dict

PAGE = Path(__file__).resolve().parents[3] / "docs" / "adversarial-examples.md"
PAINTED = {"generator": "g"}
LAUNDER = {"method": "launder"}


def documented_plan():
    (plan,) = [
        text for text in re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.S) if "make" in text
    ]
    return tomllib.loads(plan)


@pytest.fixture(scope="module")
def validator():
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    "plan",
    [
        tomllib.loads(EXAMPLE_PLAN),
        documented_plan(),
        {"make": [LAUNDER | {"name": "a", "of": "parents"}], "seed": 2**64 - 1},
        {"make": [{"method": "text", "prompts": "moderation", "times": 2, **PAINTED}]},
        {"make": [{"method": "text", "prompt": "{a}", "variables": {"a": ["b"]}, **PAINTED}]},
        {"make": [{"method": "attack", "epsilon": [1, 2.0], "aim": ["lower"], "detector": "mini"}]},
    ],
)
def test_a_plan_that_is_read_fits_the_schema(validator, tmp_path, plan):
    """The example, that of the documents, and every kind of value fit."""
    assert plan_of_dict(plan, folder=tmp_path).blocks
    validator.validate(plan)
    plan_model(map(method_of, method_names())).model_validate(plan, strict=True)


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"make": []},
        {"make": [{"method": "draw"}]},
        {"make": [LAUNDER], "sed": 1},
        {"make": [LAUNDER], "seed": -1},
        {"make": [LAUNDER], "parents": {"choose": "all"}},
        {"make": [LAUNDER], "parents": {"n": 1_000_001}},
        {"make": [{"method": "text", "prompt": "x"}]},
        {"make": [{"method": "attack", "epsilon": []}]},
        {"make": [{"method": "attack", "epsilon": [2, 80]}]},
        {"make": [{"method": "attack", "steps": 1.5}]},
        {"make": [{"method": "attack", "kind": "fgsm"}]},
        {"make": [{"method": "aligned", "autoencoder": "a", "strength": 1}]},
        {"make": [{"method": "text", "prompt": "x", "times": [1, 2], **PAINTED}]},
    ],
)
def test_a_slip_that_an_editor_can_see_is_refused_by_both(validator, tmp_path, plan):
    """Names, types, ranges and choices are checked by both."""
    with pytest.raises(Exception, match=r"allowed|add a|needs|whole number"):
        plan_of_dict(plan, folder=tmp_path)
    assert not validator.is_valid(plan)


@pytest.mark.parametrize("name", method_names())
def test_every_setting_says_what_it_is(name):
    """Each has a description, for editors and for readers of the method."""
    method = method_of(name)
    assert method.description.endswith(".")
    for setting, field in method.settings_model.model_fields.items():
        assert field.description, setting
        assert field.description.endswith("."), setting
