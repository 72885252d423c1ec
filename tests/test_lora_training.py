"""Adapters trained here: they learn, go on where they stopped, and plain diffusers loads them."""

import dataclasses
import shutil

import numpy as np
import pytest
import tiny_sd3
import torch
from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
from PIL import Image
from safetensors.torch import load_file

from assay.data.errors import ConfigError, InputError, SynthError
from assay.synth.flow_matching import draw_times, noised, velocity_loss
from assay.synth.lora import WEIGHTS
from assay.synth.lora_training import LoraSettings, lora_targets, train_lora


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("lora")
    tiny_sd3.tiny_folder(root / "tiny")
    (root / "red").mkdir()
    for index in range(3):
        colour = (200, 30 * index, 40)
        Image.new("RGB", (70, 90), colour).save(root / "red" / f"{index}.png")
    (root / "red" / "0.txt").write_text("a dark red thing\n")
    return LoraSettings(
        images=root / "red",
        base=str(root / "tiny"),
        out=root / "out",
        prompt="a red thing",
        steps=40,
        size_px=32,
        learning_rate=2e-2,
        save_every=20,
        batch=2,
    )


@pytest.fixture(scope="module")
def trained(settings):
    lines = []
    return train_lora(settings, on_progress=lines.append), lines


def test_it_learns_and_leaves_curve_and_samples(trained, settings):
    """The loss falls, and pictures along the way are kept."""
    result, lines = trained
    assert np.mean(result.losses[-10:]) < np.mean(result.losses[:10])
    assert (settings.out / "loss.svg").read_text().startswith("<svg")
    assert sorted(p.name for p in (settings.out / "samples").iterdir()) == [
        "step-000020.png",
        "step-000040.png",
    ]
    assert lines[-1].startswith("step 40 of 40")
    assert "next" in result.summary()


def test_plain_diffusers_loads_it_and_the_picture_changes(trained, settings):
    """With no code of assay."""
    parts = dict.fromkeys(("text_encoder_3", "tokenizer_3", "image_encoder", "feature_extractor"))
    plain = StableDiffusion3Pipeline.from_pretrained(settings.base, **parts)

    def made():
        return plain(
            "a red thing",
            width=32,
            height=32,
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
        ).images

    before = made()
    plain.load_lora_weights(settings.out)
    assert np.abs(made() - before).max() > 1 / 255


def test_interrupted_it_goes_on_to_the_very_same_weights(trained, settings, tmp_path):
    """Half the steps, then all of them."""
    other = dataclasses.replace(settings, out=tmp_path / "out", steps=20)
    train_lora(other)
    lines = []
    train_lora(dataclasses.replace(other, steps=40), on_progress=lines.append)
    assert lines[0] == "goes on after step 20"
    whole, halves = (load_file(folder / WEIGHTS) for folder in (settings.out, other.out))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_a_folder_with_another_training_is_refused(trained, settings):
    """Rather than mixed into."""
    with pytest.raises(SynthError, match="holds a training with other settings"):
        train_lora(dataclasses.replace(settings, rank=2))


def test_mediums_second_attention_is_trained_too():
    """A match by name ending alone would leave it out."""
    torch.manual_seed(0)
    dual = SD3Transformer2DModel(
        sample_size=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=16,
        pooled_projection_dim=16,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    targets = lora_targets(dual)
    assert "transformer_blocks.0.attn2.to_q" in targets
    assert "transformer_blocks.0.attn.add_k_proj" in targets
    assert "transformer_blocks.1.attn2.to_q" not in targets


def test_what_cannot_be_trained_on_is_said(settings, tmp_path):
    """No folder, no pictures, a size that the model cannot make."""
    with pytest.raises(InputError, match="is not a folder"):
        train_lora(dataclasses.replace(settings, images=tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        train_lora(dataclasses.replace(settings, images=tmp_path / "empty"))
    with pytest.raises(ConfigError, match="multiples of 16"):
        dataclasses.replace(settings, size_px=40)
    shutil.copytree(settings.images, tmp_path / "bad")
    (tmp_path / "bad" / "x.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"cannot be decoded.*take it out"):
        train_lora(dataclasses.replace(settings, images=tmp_path / "bad", out=tmp_path / "o"))


def test_the_objective_is_the_line_from_latents_to_noise():
    """At the ends the point is one of them, and the true direction has no loss."""
    latents, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(noised(latents, noise, torch.zeros(2)), latents)
    torch.testing.assert_close(noised(latents, noise, torch.ones(2)), noise)
    assert float(velocity_loss(noise - latents, latents, noise)) == 0
    times = draw_times(20_000, torch.Generator().manual_seed(0))
    assert float(times.median()) == pytest.approx(0.5, abs=0.01)
    shifted = draw_times(20_000, torch.Generator().manual_seed(0), shift=3.0)
    assert float(shifted.median()) == pytest.approx(0.75, abs=0.01)
