"""Evaluation of a training: areas with intervals, scores, and the card's verdict."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from training_images import autoencoder_folder, photo

from assay.synth.autoencoder import load_autoencoder
from assay.tasks.detector.training.card import aligned_verdict, verdict
from assay.tasks.detector.training.evaluation import (
    Auc,
    Evaluation,
    Row,
    auc_with_interval,
    evaluate,
    score,
    worth,
)
from assay.tasks.detector.training.images import Part, find_images, make_twins
from assay.tasks.detector.training.model import build_vit
from assay.tasks.detector.training.views import decode


def test_auc_is_scikit_learns_and_its_interval_holds_it() -> None:
    """Ties count half, as in scikit-learn."""
    rng = np.random.default_rng(0)
    real, fake = rng.integers(0, 20, 40), rng.integers(5, 25, 30)
    found = auc_with_interval(real, fake)
    labels = np.r_[np.zeros(40), np.ones(30)]
    assert found.auc == pytest.approx(roc_auc_score(labels, np.r_[real, fake]))
    assert found.low < found.auc < found.high
    assert auc_with_interval(real, real + 100) == Auc(auc=1.0, low=1.0, high=1.0)


@pytest.mark.parametrize(("n_real", "n_fake", "is_paired"), [(0, 3, False), (3, 2, True)])
def test_no_area_without_both_classes(n_real: int, n_fake: int, is_paired: bool) -> None:
    """One class, or unpaired pairs, have no area under the curve."""
    with pytest.raises(ValueError, match=f"{n_real} photos and {n_fake} fakes"):
        auc_with_interval(np.zeros(n_real), np.zeros(n_fake), is_paired=is_paired)


def test_the_score_does_not_depend_on_the_batch() -> None:
    """One image at a time and five at once score the same."""
    torch.manual_seed(0)
    model = build_vit(image_px=32, patch_px=16, width=16, layers=1, heads=1)
    raws = []
    for seed in range(5):
        buffer = io.BytesIO()
        photo(seed).save(buffer, "PNG")
        raws.append(buffer.getvalue())
    together = score(model, raws, side_px=32)
    alone = score(model, raws, side_px=32, batch=1)
    assert together.shape == (5,)
    assert np.allclose(together, alone, atol=1e-5)
    assert decode(raws[0]).mode == "RGB"


def held_out(model: float, low: float, control: float) -> Evaluation:
    row = Row(
        against="all",
        kind="generator",
        n_real=32,
        n_fake=36,
        model=Auc(auc=model, low=low, high=model + 0.05),
        control=Auc(auc=control, low=control - 0.05, high=control + 0.05),
        tpr_at_half=0.5,
    )
    return Evaluation(part="held_out", rows=(row,), fpr_at_half={}, n_real={})


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ((0.55, 0.45, 0.5), "no better than chance"),
        ((0.70, 0.60, 0.5), "it is weak"),
        ((0.90, 0.85, 0.92), "says little about image content"),
        ((0.90, 0.85, 0.6), "Its AUC is 0.90"),
    ],
)
def test_the_verdict_follows_the_figures(figures: tuple[float, float, float], words: str) -> None:
    """The verdict names chance level, and a control that is as good."""
    assert words in verdict(held_out(*figures))


@pytest.mark.parametrize(
    ("lows", "words"),
    [
        ((0.45, 0.3), "it is no better than chance (AUC"),
        ((0.7, 0.3), "no better than chance for `taef` of photos reduced to 440 px first 0.80"),
        ((0.7, 0.7), "above chance for `taef` 0.80 (0.70 to 0.90), `taef` of photos reduced"),
    ],
)
def test_aligned_fakes_at_chance_are_called_so(lows: tuple[float, float], words: str) -> None:
    """The sentence names the geometries that the detector has not learnt."""
    rows = tuple(
        Row(
            against="taef",
            kind="aligned",
            short_px=short_px,
            n_real=9,
            n_fake=9,
            model=Auc(auc=0.8, low=low, high=0.9),
            control=Auc(auc=0.5, low=0.4, high=0.6),
            tpr_at_half=0.5,
        )
        for low, short_px in zip(lows, (None, 440), strict=True)
    )
    assert words in aligned_verdict(
        Evaluation(part="held_out", rows=rows, fpr_at_half={}, n_real={})
    )


def test_worth_is_the_mean_over_kinds(folders: Path) -> None:
    """One kind gives its own area, and no kind gives 0."""
    model = build_vit(image_px=64, patch_px=16, width=16, layers=1, heads=1)
    pictures = find_images([folders / "real"], [folders / "fake"], hold_out=("b", "y"))
    area = worth(model, pictures, [], Part.HELD_OUT, side_px=64)
    table = evaluate(model, pictures, [], Part.HELD_OUT, side_px=64)
    assert area == pytest.approx(table.rows[0].model.auc)
    autoencoder = load_autoencoder(autoencoder_folder(folders / "autoencoder"))
    photos = [p for p in pictures if p.source == "b"]
    twins = make_twins(photos, autoencoder, folders / "cache")
    twins += make_twins(photos, autoencoder, folders / "cache", short_px=64)
    rows = evaluate(model, pictures, twins, Part.HELD_OUT, side_px=64).rows
    aligned = [r.model.auc for r in rows if r.kind == "aligned"]
    assert [r.short_px for r in rows if r.kind == "aligned"] == [None, 64]
    assert worth(model, pictures, twins, Part.HELD_OUT, side_px=64) == pytest.approx(
        (area + np.mean(aligned)) / 2
    )
    assert worth(model, [], [], Part.HELD_OUT, side_px=64) == 0.0
