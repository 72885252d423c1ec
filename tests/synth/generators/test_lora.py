"""An adapter is used with its own base, undamaged and finite, or refused in one line on loading."""

import json

import pytest
import tiny_sd3
import torch
from safetensors.torch import load_file, save_file
from tiny_sd3 import adapter_file

from assay.data.errors import SynthError
from assay.synth.generators.adapter_base import other_base
from assay.synth.generators.load import LoadSettings, load_generator
from assay.synth.generators.lora import Adapter, check_adapter, parse_adapter

MEDIUM = "stabilityai/stable-diffusion-3.5-medium"
LAYER = "transformer_blocks.0.attn.to_q"
OTHER = "transformer_blocks.1.attn.to_q"
BASE = {f"transformer.{name}.weight": (32, 16) for name in (LAYER, OTHER)}
CLIP = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("told", "generator_id", "repo"),
    [
        ({}, "tiny@0123456789ab", ""),
        ({"base_model": MEDIUM}, f"{MEDIUM}@{'a' * 40}", MEDIUM),
        ({"base_model": f"{MEDIUM}@{'b' * 40}"}, f"{MEDIUM}@{'a' * 40}", MEDIUM),
        ({"base_model": MEDIUM}, "copy@0123456789ab", MEDIUM),
        ({"base_model": "tiny@0123456789ab"}, "renamed@0123456789ab", ""),
        ({"base_model": "/somewhere/else/tiny"}, "tiny@0123456789ab", ""),
        ({"base_model": "SD 3.5 Medium"}, "copy@0123456789ab", MEDIUM),
        ({"ss_base_model_version": "sd3"}, "tiny@0123456789ab", ""),
        (
            {"modelspec.architecture": "stable-diffusion-v3-5-medium/lora"},
            "copy@0123456789ab",
            MEDIUM,
        ),
        ({"lora_adapter_metadata": "[" * 9000}, "tiny@0123456789ab", ""),
        (
            {
                "lora_adapter_metadata": json.dumps(
                    {
                        "transformer.base_model_name_or_path": "/hub/models--stabilityai--"
                        "stable-diffusion-3.5-medium/snapshots/abc/transformer"
                    }
                )
            },
            f"{MEDIUM}@{'a' * 40}",
            MEDIUM,
        ),
    ],
)
def test_the_base_may_be_named_in_many_ways(told, generator_id, repo):
    """Id, hash, path and family name the base; an unrelated part is not a contradiction."""
    assert other_base(told, generator_id, repo) is None


@pytest.mark.parametrize(
    ("told", "generator_id", "repo"),
    [
        ({"base_model": "tiny@0123456789ab"}, "tiny@ba9876543210", ""),
        ({"base_model": "stabilityai/stable-diffusion-3.5-large"}, "tiny@0123456789ab", ""),
        ({"base_model": "stabilityai/stable-diffusion-3.5-large"}, f"{MEDIUM}@{'a' * 40}", MEDIUM),
        ({"base_model": "another"}, "tiny@0123456789ab", ""),
        ({"base_model": MEDIUM, "assay.base": "another"}, f"{MEDIUM}@{'a' * 40}", MEDIUM),
        ({"base_model": "SD 3.5 Large"}, "copy@0123456789ab", MEDIUM),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "tiny@0123456789ab", ""),
        ({"modelspec.architecture": "flux-1-dev/lora"}, f"{MEDIUM}@{'a' * 40}", MEDIUM),
        (
            {"lora_adapter_metadata": '{"transformer.base_model_name_or_path": "/a/other"}'},
            "tiny@0123456789ab",
            "",
        ),
    ],
)
def test_another_base_is_found_wherever_it_is_named(told, generator_id, repo):
    """It is refused even where the shapes would fit."""
    assert other_base(told, generator_id, repo)


def saved(folder, change, metadata=None):
    """Save an adapter of two layers of the base, after a change."""
    adapter = adapter_file(folder, shapes={LAYER: (16, 32), OTHER: (16, 32)})
    tensors = load_file(adapter.file)
    change(tensors)
    save_file(tensors, adapter.file, metadata=metadata)
    return adapter


def half(tensors):
    del tensors[f"transformer.{OTHER}.lora_B.weight"]


def other_half(tensors):
    del tensors[f"transformer.{OTHER}.lora_A.weight"]


def one_value(value):
    def change(tensors):
        tensors[f"transformer.{LAYER}.lora_B.weight"][3, 1] = value

    return change


def other_rank(tensors):
    tensors[f"transformer.{LAYER}.lora_A.weight"] = torch.ones(3, 16)


def narrow(tensors):
    tensors[f"transformer.{LAYER}.lora_B.weight"] = torch.ones(8, 2)


def more(tensors):
    tensors["transformer.x_embedder.lora_magnitude_vector"] = torch.ones(2)


def whole_numbers(tensors):
    tensors[f"transformer.{LAYER}.lora_A.weight"] = torch.ones(2, 16, dtype=torch.int32)


REFUSED = {
    "half a pair": (
        half,
        rf"only one of two matrices for 1 of 2 layers \(.*{OTHER} has lora_A and lacks",
    ),
    "the other half": (other_half, "has lora_B and lacks lora_A"),
    "nan": (
        one_value(float("nan")),
        r"attn\.to_q\.lora_B\.weight holds values that are not finite",
    ),
    "infinite": (one_value(float("inf")), "not finite"),
    "no floats": (whole_numbers, "not finite numbers"),
    "two ranks": (other_rank, "has ranks 3 and 2"),
    "too narrow": (narrow, "has 16 inputs and 32 outputs"),
    "more": (more, "1 tensor that does not belong to a LoRA, such as .*lora_magnitude_vector"),
    "nothing": (dict.clear, "is not a LoRA"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_damaged_adapter_is_refused_in_one_line(tmp_path, kind):
    """The error comes before diffusers reads the file."""
    change, message = REFUSED[kind]
    with pytest.raises(SynthError, match=message) as refused:
        check_adapter(saved(tmp_path / "a", change), BASE, "tiny@0123456789ab", "")
    assert "\n" not in str(refused.value)


def test_a_whole_adapter_passes_also_with_a_text_encoder_in_diffusers_own_names(tmp_path):
    """The names are those that the training script of diffusers saves."""

    def with_text(tensors):
        tensors[f"{CLIP}.lora_linear_layer.down.weight"] = torch.ones(2, 8)
        tensors[f"{CLIP}.lora_linear_layer.up.weight"] = torch.ones(8, 2)

    adapter = saved(tmp_path / "a", with_text)
    check_adapter(adapter, BASE | {f"{CLIP}.weight": (8, 8)}, "tiny@0123456789ab", "")
    with pytest.raises(SynthError, match=r"q_proj has .* this base does not have this layer"):
        check_adapter(adapter, BASE, "tiny@0123456789ab", "")


def test_weights_are_finite_numbers(tmp_path):
    """The weight is the text after the last colon of an existing path."""
    folder = adapter_file(tmp_path / "a", shapes={LAYER: (16, 32)}).path
    assert parse_adapter(f"{folder}:-0.5").weight == -0.5
    assert parse_adapter(str(folder)) == Adapter(path=folder)
    for told in ("nan", "inf", "-inf", "1e30", "x", ""):
        with pytest.raises(
            SynthError, match=r"allowed: a number from -100 to 100, such as .*a:0\.8"
        ):
            parse_adapter(f"{folder}:{told}")
    with pytest.raises(SynthError, match="a with weight nan"):
        Adapter(path=folder, weight=float("nan"))
    gone = parse_adapter(f"{tmp_path / 'none'}:0.5")
    with pytest.raises(SynthError, match=r"there is no adapter at .*none; give a"):
        check_adapter(gone, BASE, "tiny@0123456789ab", "")


def test_an_adapter_whose_pictures_would_not_be_finite_is_refused_when_loaded(tmp_path):
    """All its own numbers are finite, but the outputs are not."""
    folder = tiny_sd3.tiny_folder(tmp_path / "tiny")
    adapter = adapter_file(
        tmp_path / "big", shapes={LAYER.replace("to_q", "to_v"): (32, 32)}, up=1e30
    )
    with pytest.raises(SynthError, match=r"with weight 2 gives values of tiny@.* not finite"):
        load_generator(
            str(folder), LoadSettings(adapters=(Adapter(path=adapter.path, weight=2.0),))
        )
