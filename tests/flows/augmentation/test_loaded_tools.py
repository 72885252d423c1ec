"""What a plan names is loaded before the work; what cannot be is one line, and no lake is made."""

import pytest
from tiny_models import MINI_ON_TORCH

from assay.data.errors import ConfigError, SynthError
from assay.flows.augmentation.loaded_tools import LoadedTools
from assay.flows.augmentation.run import augment
from assay.flows.request import Request
from assay.synth.generators.checkpoints import find_generator
from assay.synth.plan.plan_file import plan_of_dict

TEXT = {"method": "text", "generator": "g", "prompt": "x"}
LONG = "a" * 300


@pytest.mark.parametrize(
    "block",
    [
        TEXT | {"generator": LONG},
        {"method": "aligned", "autoencoder": LONG},
        {"method": "attack", "detector": LONG},
    ],
)
def test_a_name_too_long_for_a_file_is_one_line(tmp_path, block):
    """Of whatever is loaded; a run has not begun."""
    plan = plan_of_dict({"make": [block]}, folder=tmp_path)
    with pytest.raises(SynthError) as refused:
        LoadedTools(Request(lake="x", **MINI_ON_TORCH)).prepare(plan)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500
    assert "aaaa" in str(refused.value)


def test_weights_that_were_moved_away_are_said(tmp_path):
    """As when a cache's links are copied without what they lead to."""
    (tmp_path / "model_index.json").write_text(
        '{"_class_name": "StableDiffusion3Pipeline",'
        + ",".join(
            f'"{part}": ["{library}", "{kind}"]'
            for part, (library, kind) in {
                "transformer": ("diffusers", "SD3Transformer2DModel"),
                "vae": ("diffusers", "AutoencoderKL"),
                "scheduler": ("diffusers", "FlowMatchEulerDiscreteScheduler"),
                "text_encoder": ("transformers", "CLIPTextModelWithProjection"),
                "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
                "tokenizer": ("transformers", "CLIPTokenizer"),
                "tokenizer_2": ("transformers", "CLIPTokenizer"),
            }.items()
        )
        + "}"
    )
    for part in ("transformer", "vae", "scheduler", "text_encoder", "text_encoder_2"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "model.safetensors").symlink_to(tmp_path / "blobs" / "gone")
    for part in ("tokenizer", "tokenizer_2"):
        (tmp_path / part).mkdir()
    (tmp_path / "transformer" / "config.json").write_text('{"num_layers": 2}')
    with pytest.raises(SynthError, match=r"cannot be read: .*gone.*; copy its files there again"):
        find_generator(str(tmp_path))


def test_no_lake_is_made_for_a_plan_that_cannot_begin(tmp_path):
    """Also where its pictures would need no parents."""
    plan = plan_of_dict({"make": [TEXT | {"generator": "nowhere"}]}, folder=tmp_path)
    with pytest.raises(SynthError, match="no generator is named 'nowhere'"):
        augment(Request(lake=str(tmp_path / "lake"), **MINI_ON_TORCH), plan)
    assert not (tmp_path / "lake").exists()


class Given:
    """A generator of somebody's."""

    generator_id = "mine@1"
    license_flags = ()

    def check(self, ask):
        """Everything is allowed."""

    def make(self, ask):
        """Never comes to it."""
        raise NotImplementedError


def given(**members):
    return type("Mine", (Given,), members)()


def broken(_self):
    raise RuntimeError("no licence server")


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (given(generator_id=None), "generator_id is None; allowed: text"),
        (given(generator_id=" "), "generator_id is ' '; allowed: text"),
        (given(license_flags=None), "license_flags is None; allowed: a list of texts"),
        (given(license_flags="nc"), "license_flags is 'nc'; allowed: a list of texts"),
        (given(license_flags=("nc", 5)), r"license_flags is \('nc', 5\); allowed"),
        (given(contents={1: {2}}), r"contents is .*; allowed: plain values"),
        (given(generator_id=property(broken)), "has members that fail: .*no licence server"),
        (given(contents=property(broken)), "has members that fail: .*no licence server"),
    ],
)
def test_members_that_rows_cannot_hold_are_refused_before_the_work(generator, said):
    """A generator from Python is anybody's code."""
    with pytest.raises(ConfigError, match=said):
        LoadedTools(Request(lake="x"), generators={"g": generator})


def test_a_path_of_the_working_folder_is_said_once(tmp_path, monkeypatch, capsys):
    """One of the plan's folder is used without a word."""
    plans = tmp_path / "plans"
    (plans / "masks").mkdir(parents=True)
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path)
    masks = {"method": "inpaint", "generator": "g", "mask": ["masks", "old"]}
    plan = plan_of_dict({"make": [masks]}, folder=plans)
    tools = LoadedTools(Request(lake="x"), generators={"g": Given()})
    tools.prepare(plan)
    assert tools.path("masks") == plans / "masks"
    assert str(tools.path("old")) == str(tools.path("old")) == "old"
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("'old' is read from the working folder, since the plan's folder")


def test_a_generator_is_looked_for_beside_the_plan(tmp_path, monkeypatch):
    """And so is an adapter, with its weight; what is wrong with them is said by their path."""
    plans = tmp_path / "plans"
    (plans / "mine").mkdir(parents=True)
    (plans / "look.safetensors").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    tools = LoadedTools(Request(lake="x"))
    with pytest.raises(SynthError, match=r"plans/mine is not a diffusers folder"):
        tools.prepare(plan_of_dict({"make": [TEXT | {"generator": "mine"}]}, folder=plans))
    (adapter,) = tools.adapters("look.safetensors:0.8")
    assert (adapter.path, adapter.weight) == (plans / "look.safetensors", 0.8)
