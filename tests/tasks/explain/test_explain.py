"""Attention in the open: the same score, maps as they should be, and what they are not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from factories import encoded, noise, photo
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from tiny_models import TINY, Shape, hf_config, timm_tensors, write_hf, write_timm

from assay.flows.cli import main
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
from assay.tasks.explain.attention import AttendingNetwork
from assay.tasks.explain.attribution import gradient_weighted, patch_map, rollout, stretched
from assay.tasks.explain.explain import explain
from assay.tasks.explain.faithfulness import curves
from assay.tasks.explain.heatmap import coloured, draw_heatmap

TENSORS = timm_tensors()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Return the same network in both layouts."""
    here = tmp_path_factory.mktemp("m")
    return (
        find_checkpoint(str(write_timm(here / "timm", TENSORS))),
        find_checkpoint(str(write_hf(here / "hf", TENSORS, hf_config(TINY)))),
    )


def pixels(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 3, 64, 64), dtype=np.float32)


def test_the_explaining_pass_is_the_scoring_pass(both):
    """Its logit is that of every backend; both layouts give the same maps."""
    one = pixels(1)[0]
    timm, hf = (AttendingNetwork(checkpoint).attend(one) for checkpoint in both)
    for checkpoint in both:
        for backend in ("torch", "openvino"):
            logits, _ = load_detector(checkpoint.name, device="cpu", backend=backend).forward(
                one[None]
            )
            assert timm.logit == pytest.approx(float(logits[0]), abs=1e-3)
    for mine in (rollout, lambda a: gradient_weighted(a, timm.gradient_lhtt)):
        np.testing.assert_allclose(mine(timm.attention_lhtt), mine(hf.attention_lhtt), atol=1e-4)
    np.testing.assert_allclose(timm.gradient_lhtt, hf.gradient_lhtt, atol=1e-4)


def test_attention_is_what_transformers_shows_when_it_is_made_to(both):
    """The eager attention of transformers has the same matrices."""
    from transformers import ViTForImageClassification

    model = ViTForImageClassification.from_pretrained(
        both[1].name, attn_implementation="eager", use_safetensors=True
    ).eval()
    one = pixels(1, seed=3)
    with torch.inference_mode():
        theirs = model(torch.from_numpy(one), output_attentions=True).attentions
    mine = AttendingNetwork(both[0]).attend(one[0]).attention_lhtt
    np.testing.assert_allclose(mine, np.stack([a[0].numpy() for a in theirs]), atol=1e-5)


def test_gradients_are_those_of_the_logit(both):
    """A gradient equals the finite difference of one softmax weight."""
    network, one = AttendingNetwork(both[0]), torch.from_numpy(pixels(1, seed=5))
    attended = network.attend(one[0].numpy())
    moved: list[float] = []
    real = network._attention
    for step in (-1e-2, 1e-2):

        def nudged(x, block, step=step):
            mixed, attention = real(x, block)
            if block == 0:
                v = network._linear(x, "0.v").view(1, -1, 3, 64).transpose(1, 2)
                change = torch.zeros_like(attention)
                change[0, 1, 0, 7] = step
                mixed = mixed + (change @ v).transpose(1, 2).reshape(mixed.shape)
            return mixed, attention

        network._attention = nudged
        moved.append(float(network.forward(one)[0].detach()[0]))
    slope = (moved[1] - moved[0]) / 2e-2
    assert attended.gradient_lhtt[0, 1, 0, 7] == pytest.approx(slope, rel=0.05, abs=1e-3)


def test_a_detector_of_real_pictures_is_explained_the_right_way_round(tmp_path, both):
    """Its logit and gradients are negated."""
    real = find_checkpoint(str(write_timm(tmp_path / "r", TENSORS, positive="real")))
    one = pixels(1)[0]
    mine, other = AttendingNetwork(both[0]).attend(one), AttendingNetwork(real).attend(one)
    assert mine.logit == -other.logit
    np.testing.assert_allclose(mine.gradient_lhtt, -other.gradient_lhtt)


softmaxes = arrays(np.float32, (3, 2, 5, 5), elements=st.floats(-8, 8, width=32)).map(
    lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)
)


@given(softmaxes)
def test_rollout_rows_sum_to_one(attention):
    """Whatever the attention, each token's sources add up to it."""
    found = rollout(attention)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-9)
    assert (found >= 0).all()


def test_rollout_by_eye():
    """One block that looks at patch 2 alone: half stays, half comes from there."""
    attention = np.zeros((1, 1, 3, 3), np.float32)
    attention[..., 2] = 1
    np.testing.assert_allclose(rollout(attention)[0], [0.5, 0, 0.5])
    # After a second such block, half of the half is left.
    np.testing.assert_allclose(rollout(attention.repeat(2, 0))[0], [0.25, 0, 0.75])


def test_gradient_weighted_by_eye():
    """Only what attention and gradient both raise counts; what lowers the logit is left out."""
    attention = np.full((1, 1, 3, 3), 1 / 3, np.float32)
    gradient = np.zeros_like(attention)
    gradient[0, 0, 0] = [0.0, 3.0, -3.0]
    np.testing.assert_allclose(gradient_weighted(attention, gradient)[0], [1, 1, 0])


@given(softmaxes, arrays(np.float32, (3, 2, 5, 5), elements=st.floats(-9, 9, width=32)))
def test_gradient_weighted_is_never_negative(attention, gradient):
    """The map never falls below the identity that it starts from."""
    assert (gradient_weighted(attention, gradient) >= np.eye(5) - 1e-12).all()


def test_the_patch_that_alone_decides_is_found(tmp_path):
    """A network made so that the logit hangs on one bright patch: the map has it first."""
    shape = Shape(image_px=64, width=192, depth=1, heads=3)
    tensors = {k: torch.zeros_like(v) for k, v in timm_tensors(shape).items()}
    for name in ("norm1", "norm2"):
        tensors[f"vit.blocks.0.{name}.weight"] += 1
    tensors["vit.norm.weight"] += 1
    # Feature 0 is a patch's brightness; values carry it to the class token, the head reads it.
    tensors["vit.patch_embed.proj.weight"][0] = 1 / 768
    tensors["vit.patch_embed.proj.weight"][1] = -1 / 768
    tensors["vit.blocks.0.attn.qkv.weight"][2 * 192, 0] = 1.0
    tensors["vit.blocks.0.attn.proj.weight"][0, 0] = 1.0
    # Keys carry it too, so that brightness draws attention: the query is a constant.
    tensors["vit.blocks.0.attn.qkv.weight"][192, 0] = 1.0
    tensors["vit.blocks.0.attn.qkv.bias"][0] = 4.0
    tensors["vit.head.weight"][0, 0] = 1.0
    checkpoint = find_checkpoint(str(write_timm(tmp_path / "m", tensors)))
    one = np.zeros((3, 64, 64), np.float32)
    one[:, 16:32, 32:48] = 1.0
    attended = AttendingNetwork(checkpoint).attend(one)
    for relevance in (
        rollout(attended.attention_lhtt),
        gradient_weighted(attended.attention_lhtt, attended.gradient_lhtt),
    ):
        row, column = np.unravel_index(patch_map(relevance).argmax(), (4, 4))
        assert (row, column) == (1, 2)


def test_curves_of_a_score_that_hangs_on_one_patch():
    """Found first, deletion is at its best and insertion too; found last, at their worst."""
    one = np.ones((3, 64, 64), np.float32)

    def score(batch):
        return batch[:, 0, 0, 0].astype(np.float64)

    right, wrong = np.zeros((4, 4)), np.ones((4, 4))
    right[0, 0], wrong[0, 0] = 1, 0
    best, worst = curves(one, right, score), curves(one, wrong, score)
    # Of twelve steps the first, or the last, is a slope from 1 to 0.
    assert best.deletion == pytest.approx(0.5 / 12)
    assert best.insertion == pytest.approx(1 - 0.5 / 12)
    assert worst.deletion == pytest.approx(1 - 0.5 / 12)
    assert worst.insertion == pytest.approx(0.5 / 12)


def test_a_flat_map_is_no_colour():
    """A constant map is not stretched to colours."""
    assert stretched(np.full((2, 2), 0.3)).max() == 0
    assert coloured(np.array([0.0, 1.0])).tolist() == [[0, 0, 4], [252, 255, 164]]


def test_boxes_lie_where_the_square_was_taken_from(both):
    """A picture twice as wide as high: the square is its middle, patches are 16 px of 73 in 64."""
    profile = chosen_profile(None, both[0])
    raw = encoded(noise(seed=1, size=(292, 146)), "PNG")
    found = explain(raw, both[0], profile)
    # The short edge goes to 73 px, half its size; the 64 px in the middle are 128 px of it.
    left, top, right, bottom = found.square_px
    assert (right - left, bottom - top) == (128, 128)
    assert (left, top) == (82, 8)
    assert all(
        box[2] - box[0] == 32 and 82 <= box[0] <= 178
        for box in (patch["box_px"] for patch in found.top_patches(16))
    )
    assert sum(patch["share"] for patch in found.top_patches(16)) == pytest.approx(1)
    drawn = draw_heatmap(found)
    assert drawn.startswith(b"\x89PNG")


def test_the_command_explains_a_file_and_a_stored_image(tmp_path, capsys, monkeypatch):
    """The same picture, the same score; of a stored one it says how near the stored score is."""
    monkeypatch.chdir(tmp_path)
    model = str(write_timm(tmp_path / "m", TENSORS))
    Path("p").mkdir()
    Path("p/a.jpg").write_bytes(encoded(photo(seed=2, size=(500, 460)), "JPEG"))
    main(["moderate", "p", "--lake", "l", "--detector", model, "--json", "--quiet"])
    capsys.readouterr()
    main(["explain", "p/a.jpg", "--detector", model, "-o", "h.png", "--json"])
    of_file = json.loads(capsys.readouterr().out)
    main(["explain", of_file["image_id"][:12], "--lake", "l", "--detector", model, "--json"])
    stored = json.loads(capsys.readouterr().out)
    assert stored["logit"] == pytest.approx(of_file["logit"], abs=1e-5)
    assert stored["logit"] == pytest.approx(stored["stored_logit"], abs=1e-3)
    assert stored["out"] == f"heat-{of_file['image_id'][:12]}.png"
    assert Image.open("h.png").size == Image.open(stored["out"]).size
    assert "not which pixels" in stored["caveat"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no-such-thing", "--lake", "l"], 4, "there is no lake"),
        (["text.jpg"], 3, "not_an_image"),
        (["a.png", "-o", "missing/h.png"], 3, "cannot write"),
    ],
)
def test_what_cannot_be_explained(tmp_path, capsys, monkeypatch, arguments, code, said):
    """Each error has its exit code and names what was seen."""
    monkeypatch.chdir(tmp_path)
    Path("text.jpg").write_text("no picture at all")
    Path("a.png").write_bytes(encoded(photo(), "PNG"))
    model = str(write_timm(tmp_path / "m", TENSORS))
    with pytest.raises(SystemExit) as ended:
        main(["explain", *arguments, "--detector", model])
    assert ended.value.code == code
    assert said in capsys.readouterr().err
