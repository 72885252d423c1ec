"""Attacks reach a known optimum, stay in their box, and survive files they are optimised for."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_sd3 import tiny_vae

from assay.data.errors import ConfigError
from assay.synth.attacks.expectation import FileDraws, as_jpeg, through_files
from assay.synth.attacks.latent import latent_attack
from assay.synth.attacks.pixel import AttackSettings, attack
from assay.synth.autoencoder import Autoencoder


def linear(seed=0, side=8):
    """Return a linear detector, whose optimal attack is the sign of its weights."""
    weights = torch.randn(3, side, side, generator=torch.Generator().manual_seed(seed))
    return weights, lambda pixels: (pixels * weights).sum(dim=(1, 2, 3))


def middling(n=2, side=8, seed=1):
    """Return pixels that a box of a few levels cannot push out of range."""
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 0.6 + 0.2


@pytest.mark.parametrize("kind", ["pgd", "apgd"])
@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("aim", [-1, 1])
def test_a_linear_detector_is_moved_by_epsilon_times_its_weights(kind, random_start, aim):
    """The logit of every row moves by epsilon times the sum of absolute weights, the optimum."""
    weights, logits = linear()
    pixels = middling()
    settings_ = AttackSettings(
        kind=kind, epsilon_levels=4, steps=10, random_start=random_start, aim=aim
    )
    moved = attack(pixels, logits, settings_)
    best = float(4 / 255 * weights.abs().sum())
    torch.testing.assert_close(aim * (logits(moved) - logits(pixels)), torch.full((2,), best))


@given(
    st.sampled_from(["pgd", "apgd"]),
    st.floats(0.5, 32),
    st.integers(1, 12),
    st.integers(0, 1000),
    st.sampled_from([-1, 1]),
)
@settings(max_examples=40, deadline=None)
def test_no_attack_leaves_its_box_or_the_range_or_makes_things_worse(
    kind, epsilon, steps, seed, aim
):
    """A nonlinear detector is attacked from pixels that touch 0 and 1."""
    weights, _ = linear(seed)
    pixels = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(seed))

    def logits(at):
        return torch.sin(3 * (at * weights).sum(dim=(1, 2, 3))) + at[:, 0, 0, 0]

    moved = attack(
        pixels, logits, AttackSettings(kind=kind, epsilon_levels=epsilon, steps=steps, aim=aim)
    )
    assert float((moved - pixels).abs().max()) <= epsilon / 255 + 1e-6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    assert bool((aim * logits(moved) >= aim * logits(pixels) - 1e-5).all())


def test_a_row_is_attacked_by_itself():
    """The result of a row does not depend on the rest of the batch."""
    weights, _ = linear()

    def logits(at):
        return torch.tanh((at * weights).sum(dim=(1, 2, 3)))

    pixels = middling(3)
    settings_ = AttackSettings(steps=8)
    whole = attack(pixels, logits, settings_)
    alone = torch.cat([attack(pixels[i : i + 1], logits, settings_) for i in range(3)])
    torch.testing.assert_close(whole, alone)


def test_jpeg_in_the_way_is_pillows_and_lets_gradients_pass():
    """The forward pass is Pillow's file; the backward pass is the identity."""
    pixels = middling(1, 16).requires_grad_()
    shown = as_jpeg(pixels, 60)
    buffer = io.BytesIO()
    u8 = (pixels[0].detach() * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(u8).save(buffer, "JPEG", quality=60)
    back = np.asarray(Image.open(buffer).convert("RGB"))
    np.testing.assert_allclose(shown[0].detach().permute(1, 2, 0).numpy() * 255, back, atol=1e-3)
    shown.sum().backward()
    torch.testing.assert_close(pixels.grad, torch.ones_like(pixels))


def test_an_attack_through_files_survives_being_saved():
    """It works after JPEG, where the plain attack loses the frequencies that JPEG removes."""
    side = 32
    board = torch.from_numpy((np.indices((side, side)).sum(0) % 2 * 2 - 1).astype(np.float32))
    smooth = torch.linspace(-1, 1, side)[None, :].expand(side, side)

    def logits(at):
        grey = at.mean(dim=1)
        return (grey * (board + smooth)).sum(dim=(1, 2))

    pixels = torch.full((1, 3, side, side), 0.5)
    plain = attack(pixels, logits, AttackSettings(steps=15))
    draws = FileDraws(n=3, jpeg_quality=(50, 60), scale=(1, 1))
    robust = attack(pixels, through_files(logits, draws), AttackSettings(steps=15))

    def as_saved(at):
        return float(logits(as_jpeg(at, 55)))

    assert as_saved(robust) <= as_saved(plain)
    assert as_saved(robust) < float(logits(pixels)) - 1


def test_an_attack_in_latents_moves_the_logit_and_keeps_the_size():
    """The comparison is the image through the same autoencoder without an attack."""
    torch.manual_seed(0)
    vae = tiny_vae().eval().requires_grad_(requires_grad=False)
    autoencoder = Autoencoder(name="tiny", module=vae, weights_sha256="0" * 64, stride_px=8)
    rgb = np.random.default_rng(0).integers(0, 256, (21, 35, 3), dtype=np.uint8)

    def logits(at):
        return at.mean(dim=(1, 2, 3)) * 100

    found = latent_attack(rgb, autoencoder, logits, AttackSettings(steps=5))
    assert found.rgb_u8_hwc.shape == rgb.shape
    assert found.rgb_u8_hwc.mean() < found.plain_rgb_u8_hwc.mean()


@pytest.mark.parametrize("bad", [{"epsilon_levels": 0}, {"steps": 0}, {"aim": 2}])
def test_settings_out_of_range_are_refused(bad):
    """The error comes before anything is computed."""
    with pytest.raises(ConfigError, match="allowed"):
        AttackSettings(**bad)
