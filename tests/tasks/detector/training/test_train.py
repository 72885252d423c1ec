"""Training of the embedded detector: short trainings, and the parts of the model."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training_images import autoencoder_folder, photo

from assay.data.errors import ConfigError
from assay.synth.autoencoder import load_autoencoder
from assay.tasks.detector.training.evaluation import evaluate
from assay.tasks.detector.training.images import Part, find_images
from assay.tasks.detector.training.model import (
    Average,
    build_vit,
    log_energies,
    set_half,
    tell_patches,
    whiten_patches,
)
from assay.tasks.detector.training.train import MiniSettings, train_mini
from assay.tasks.detector.training.views import normalised


def tiny_settings(folders: Path, out: Path, **changes: object) -> MiniSettings:
    defaults: dict[str, object] = {
        "real": (folders / "real",),
        "fake": (folders / "fake",),
        "out": out,
        "manifests": (folders / "manifest.tsv",),
        "autoencoders": (autoencoder_folder(folders / "autoencoder"),),
        "hold_out": ("b", "y-1"),
        "validation_share": 0.2,
        "minutes": 5.0,
        "max_steps": 60,
        "image_px": 64,
        "small_px": 32,
        "window_px": 80,
        "width": 32,
        "layers": 2,
        "heads": 2,
        "batch": 16,
        "n_checks": 1,
    }
    return MiniSettings(**(defaults | changes))


def test_a_short_training_learns_and_leaves_a_checkpoint(folders: Path, tmp_path: Path) -> None:
    """The loss falls, the folder loads as a detector, and the card has its figures."""
    from transformers import ViTForImageClassification

    out = tmp_path / "mini"
    result = train_mini(tiny_settings(folders, out, max_steps=120))
    assert result.steps == len(result.losses) * 10 == 120
    assert result.losses[-1] < 0.55 < np.log(2)
    model = ViTForImageClassification.from_pretrained(out)
    assert sum(p.numel() for p in model.parameters()) == result.n_parameters
    config = json.loads((out / "config.json").read_text())
    assert {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "layer_norm_eps": 1e-6,
        "image_size": 64,
        "patch_size": 16,
        "num_labels": 1,
    }.items() <= config.items()
    assert model.config.id2label == {0: "AI-generated"}
    facts = tomllib.loads((out / "detector.toml").read_text())
    assert (facts["positive"], facts["name"]) == ("fake", "mini")
    assert facts["weights_sha256"] == result.weights_sha256
    figures = json.loads((out / "eval.json").read_text())
    assert figures["weights_sha256"] == result.weights_sha256
    card = (out / "README.md").read_text()
    overall = next(row for row in result.held_out.rows if row.against == "all")
    assert f"| all | 4 | {overall.model} |" in card
    assert "not to moderate with" in card
    assert str(tmp_path) not in card
    again = evaluate(
        model,
        find_images(
            [folders / "real"],
            [folders / "fake"],
            manifests=[folders / "manifest.tsv"],
            hold_out=("b", "y-1"),
            validation_share=0.2,
        ),
        [],
        Part.HELD_OUT,
        side_px=64,
    )
    assert again.rows[0].model == overall.model


def test_the_same_seed_and_steps_give_the_same_losses(folders: Path, tmp_path: Path) -> None:
    """Batches depend on seed and step only."""
    changes = {"max_steps": 20, "hold_out": ()}
    first = train_mini(tiny_settings(folders, tmp_path / "one", **changes))
    second = train_mini(tiny_settings(folders, tmp_path / "two", **changes))
    other = train_mini(tiny_settings(folders, tmp_path / "three", seed=1, **changes))
    assert np.allclose(first.losses, second.losses, atol=1e-4)
    assert not np.allclose(first.losses, other.losses, atol=1e-4)
    assert "No source was held out" in (tmp_path / "one" / "README.md").read_text()


def test_without_an_autoencoder_one_is_fitted(folders: Path, tmp_path: Path) -> None:
    """The fitted autoencoder lies in the cache folder beside the output."""
    train_mini(tiny_settings(folders, tmp_path / "mini", autoencoders=(), max_steps=10))
    fitted = load_autoencoder(tmp_path / "mini-cache" / "fitted")
    assert fitted.name == "fitted"


def test_sides_must_fit_the_patch(folders: Path, tmp_path: Path) -> None:
    """The message names the sides and the patch."""
    with pytest.raises(
        ConfigError, match="32 and 70 px are not both multiples of the patch, 16 px"
    ):
        train_mini(tiny_settings(folders, tmp_path / "mini", image_px=70))


def test_whitened_patches_answer_with_even_strength() -> None:
    """The filters vary about equally on the images they were measured on."""
    views = np.stack([np.asarray(photo(seed, size=(64, 64))) for seed in range(24)])
    pixels = normalised(views)
    model = build_vit(image_px=64, patch_px=8, width=64, layers=1, heads=1)
    whiten_patches(model, pixels, seed=0)
    with torch.no_grad():
        spread = model.vit.embeddings.patch_embeddings.projection(pixels).std(dim=(0, 2, 3))
    assert spread.max() / spread.min() < 4


def test_the_half_lies_between_the_classes() -> None:
    """Logits 2 and 4 keep their order around the middle 3, which becomes 0."""
    torch.manual_seed(0)
    model = build_vit(image_px=32, patch_px=16, width=16, layers=1, heads=1)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.fill_(3.0)
    before = model.classifier.bias.item()
    set_half(model, np.full(20, 2.0, np.float32), np.full(20, 4.0, np.float32))
    assert abs(model.classifier.bias.item()) < 1e-5
    with torch.no_grad():
        model.classifier.bias.fill_(before)
    set_half(model, np.full(20, 4.0, np.float32), np.full(20, 2.0, np.float32))
    assert model.classifier.bias.item() == before


def test_the_average_follows_the_weights() -> None:
    """After one step the young average has taken 1 - 2/11 = 9/11 of the change."""
    model = build_vit(image_px=32, patch_px=16, width=16, layers=1, heads=1)
    average = Average(model)
    with torch.no_grad():
        before = model.classifier.bias.clone()
        model.classifier.bias += 1.0
    average.update(model)
    moved = (average.model.classifier.bias - before).item()
    assert moved == pytest.approx(9 / 11, abs=1e-6)


def test_patches_start_where_pairs_differ() -> None:
    """The first filter answers only to the cosine pattern that the fakes have."""
    k = np.arange(8)
    wave = np.cos(np.pi * (2 * k + 1) * 3 / 16)
    pattern = torch.from_numpy(np.tile(np.outer(wave, wave), (4, 4)).astype(np.float32))
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(30, 1, 32, 32, generator=generator).expand(-1, 3, -1, -1)
    fake = real + pattern
    model = build_vit(image_px=32, patch_px=8, width=16, layers=1, heads=1)
    tell_patches(model, real, fake)
    with torch.no_grad():
        filters = model.vit.embeddings.patch_embeddings.projection.weight[:1]
        at_it = nn.functional.conv2d(pattern.expand(1, 3, -1, -1), filters, stride=8).abs().mean()
        flat = nn.functional.conv2d(torch.ones(1, 3, 32, 32), filters, stride=8).abs().mean()
    assert at_it > 1
    assert flat < 1e-4


def test_log_energies_of_a_flat_view() -> None:
    """Grey 2 in patches of 8 px has energy only in the constant pattern: 8 * 2 = 16, so ln 256."""
    energies = log_energies(torch.full((1, 3, 16, 16), 2.0), 8)
    assert energies.shape == (1, 192)
    assert energies[0, 0].item() == pytest.approx(np.log(256), abs=1e-3)
    assert energies[0, 1:64].max().item() == pytest.approx(np.log(1e-4), abs=0.1)
