"""A method and a generator of an installed package go all the way, from the plan to the table."""

import json
import re
from pathlib import Path

import factories
import polars as pl
import pytest
from plugin_package import PROJECT
from tiny_models import MINI_ON_TORCH

from assay.data.errors import ConfigError, SynthError
from assay.data.store.lake import Lake
from assay.flows.augmentation.loaded_tools import LoadedTools
from assay.flows.augmentation.run import augment
from assay.flows.cli import main
from assay.flows.request import Request
from assay.flows.run import run
from assay.synth.generators.estimate import announce
from assay.synth.plan.plan_file import plan_of_dict, read_plan

HOWTO = Path(__file__).resolve().parents[3] / "docs" / "howto"
PLAN = """
[parents]
n = 1

[[make]]
method = "solarise"
threshold = [64, 192]

[[make]]
method = "text"
generator = "disc"
prompt = "a disc"

[[make]]
method = "image-to-image"
generator = "disc"
"""


def plan_of(tmp_path, text=PLAN):
    (tmp_path / "plan.toml").write_text(text)
    return read_plan(tmp_path / "plan.toml")


def test_a_plan_makes_stores_and_scores_its_pictures(plugin, tmp_path):
    """Lineage, parameters, the table of who evades; a second run makes none again."""
    (tmp_path / "real").mkdir()
    factories.photo(seed=1, size=(160, 120)).save(tmp_path / "real" / "a.jpg", quality=85)
    lake = str(tmp_path / "lake")
    photos = {"sources": (str(tmp_path / "real"),), "label_from": "parent-folder"}
    run(Request(lake=lake, **photos, **MINI_ON_TORCH))
    request, plan = Request(lake=lake, **MINI_ON_TORCH), plan_of(tmp_path)
    result = augment(request, plan)
    assert (result.made, result.failed) == (4, 0)
    rows = Lake(lake, create=False).scan("synthetics").collect()
    solarised = rows.filter(method="solarise")
    params = [json.loads(text) for text in solarised["params"]]
    assert sorted(one["settings"]["threshold"] for one in params) == [64, 192]
    assert {one["library"] for one in params} == {"Pillow"}
    assert set(solarised["label"]) == {"laundered"}
    assert solarised["parent_id"].null_count() == 0
    painted = rows.filter(pl.col("method") != "solarise")
    assert dict(painted.select("method", "generator").iter_rows()) == {
        "text": "disc@1",
        "image-to-image": "disc@1",
    }
    words = {(row["block"], row["setting"]) for row in result.table.iter_rows(named=True)}
    assert {("solarise", "threshold 64"), ("solarise", "threshold 192")} <= words
    again = augment(request, plan)
    assert (again.made, again.known) == (0, 4)


def test_it_is_checked_as_a_built_in_method_is(plugin, tmp_path):
    """Ranges, unknown names and the name of the method, with what is allowed."""
    for text, said in (
        ("threshold = 300", "threshold = 300; allowed: 0 to 255"),
        ('threshold = "64"', "threshold = '64' is not a whole number"),
        ("treshold = 64", r"unknown treshold; allowed: threshold, .*; did you mean threshold\?"),
    ):
        with pytest.raises(ConfigError, match=said):
            plan_of(tmp_path, f'[[make]]\nmethod = "solarise"\n{text}\n')
    with pytest.raises(ConfigError, match=r"no method is named 'solarize'.*did you mean solarise"):
        plan_of(tmp_path, '[[make]]\nmethod = "solarize"\n')


def test_the_commands_know_it(plugin, tmp_path, capsys):
    """The list of methods, with the package, and the JSON Schema, with its setting."""
    main(["synth", "methods"])
    (line,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("solarise")]
    assert line.split()[1:3] == ["assay-plugin-example", "1.0"]
    assert line.endswith("The parent with its light samples inverted; labelled laundered, or fake.")
    main(["synth", "methods", "--json"])
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)["methods"]}
    assert listed["solarise"]["settings"] == ["threshold"]
    assert listed["text"]["package"] == "assay"
    main(["synth", "schema"])
    block = json.loads(capsys.readouterr().out)["$defs"]["SolariseBlock"]
    threshold = block["properties"]["threshold"]
    assert threshold["anyOf"][0] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 255,
        "unit": "levels of 255",
    }
    assert threshold["default"] == 128


def test_its_generator_stands_in_for_the_plans(plugin, tmp_path):
    """In every block that names one; adapters are refused, and so is a word on its memory."""
    plan = plan_of(tmp_path).with_generator("disc")
    assert [block.settings.get("generator") for block in plan.blocks] == [None, "disc", "disc"]
    with pytest.raises(ConfigError, match="no block of the plan uses a generator"):
        plan_of_dict({"make": [{"method": "solarise"}]}, folder=tmp_path).with_generator("disc")
    adapted = {"method": "text", "generator": "disc", "prompt": "x", "lora": "a.safetensors"}
    with pytest.raises(SynthError, match=r"lora = 'a.safetensors' with the generator 'disc' of"):
        LoadedTools(Request(lake="x")).prepare(plan_of_dict({"make": [adapted]}, folder=tmp_path))
    with pytest.raises(ConfigError, match="disc comes from an installed package"):
        announce("disc", memory=None, t5="auto", precision="auto", device="cpu", images=1)


@pytest.mark.parametrize("door", ["method", "generator"])
def test_the_page_on_the_door_shows_the_package(door):
    """The whole module, and the entry point as the package declares it."""
    text = (HOWTO / f"add-a-{door}.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert code == (PROJECT / "assay_plugin_example" / f"{door}.py").read_text()
    (_, entry) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert entry in (PROJECT / "pyproject.toml").read_text()
