"""The embedded generator is small, has the family's classes, and does what its card states."""

import json

import factories
import numpy as np
import pytest
import tiny_sd3
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from PIL import Image
from sklearn.datasets import load_sample_images

from assay.flows.cli import main
from assay.synth.autoencoder import load_autoencoder
from assay.synth.generators.checkpoints import EMBEDDED, find_generator, weights_sha256
from assay.synth.generators.load import load_generator
from assay.synth.generators.protocol import ImageRequest
from assay.synth.mini_training.evaluation import prompts_followed, psnr_db
from assay.synth.mini_training.making import MakeSettings, make_mini_sd3
from assay.synth.mini_training.train import MiniSettings
from assay.synth.training.autoencoder import FitSettings, fit_autoencoder

FIGURES = json.loads((EMBEDDED / "eval.json").read_text())


def test_plain_diffusers_loads_it_in_full_precision_and_paints():
    """It loads with None for the absent parts, and all classes are the family's."""
    pipeline = StableDiffusion3Pipeline.from_pretrained(
        EMBEDDED, text_encoder_3=None, tokenizer_3=None, image_encoder=None, feature_extractor=None
    )
    assert isinstance(pipeline.transformer, SD3Transformer2DModel)
    assert isinstance(pipeline.vae, AutoencoderKL)
    assert isinstance(pipeline.scheduler, FlowMatchEulerDiscreteScheduler)
    assert pipeline.transformer.config.qk_norm == "rms_norm"
    assert pipeline.vae.config.latent_channels == 16
    assert {type(part).__name__ for part in (pipeline.text_encoder, pipeline.text_encoder_2)} == {
        "CLIPTextModelWithProjection"
    }
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline("a dark blue smooth photo", width=64, height=64, num_inference_steps=2)
    assert made.images[0].size == (64, 64)


def test_it_is_small_and_its_card_is_of_these_weights():
    """It has at most 20 MB, and the card names the hash of the weights."""
    files = [path for path in EMBEDDED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20e6
    assert weights_sha256(EMBEDDED) == FIGURES["weights_sha256"]
    assert FIGURES["weights_sha256"] in (EMBEDDED / "README.md").read_text()
    found = find_generator("mini-sd3")
    assert found.generator_id == f"mini-sd3@{FIGURES['weights_sha256'][:12]}"
    assert found.preset.license_flags == ()


def test_prompts_are_followed_more_often_than_by_chance():
    """Two images per caption give a number of hits that chance reaches once in a thousand tries.

    Texture by the photos' threshold is held to 1.7 standard deviations instead of 3.1.
    """
    followed = prompts_followed(
        load_generator("mini-sd3"),
        luma_at=FIGURES["luma_at"],
        roughness_at=FIGURES["roughness_at"],
        times=2,
        side_px=64,
        steps=12,
    )
    for row in followed:
        spread = (row.chance * (1 - row.chance) / row.pictures) ** 0.5
        sigmas = 1.7 if row.kind == "texture" else 3.1
        assert row.share > row.chance + sigmas * spread, row


@pytest.mark.parametrize("long_px", [384, 640])
def test_photos_are_recognised_after_its_autoencoder(long_px):
    """Two held-out photos are closer to their reconstruction than to an eighth of their size."""
    autoencoder = load_autoencoder(EMBEDDED / "vae")
    for pixels in load_sample_images().images:
        photo = Image.fromarray(pixels)
        photo.thumbnail((long_px, long_px), Image.Resampling.LANCZOS)
        shown = np.asarray(photo)
        eighth = photo.resize((photo.width // 8, photo.height // 8), Image.Resampling.LANCZOS)
        blurred = np.asarray(eighth.resize(photo.size, Image.Resampling.BICUBIC))
        assert psnr_db(shown, autoencoder.reconstruct(shown)) > psnr_db(shown, blurred) + 1.5


def test_the_same_seed_gives_the_same_picture_at_any_allowed_size():
    """It is loaded by name, and another seed gives another image."""
    generator = load_generator("mini-sd3")

    def made(seed, side):
        return generator.make(
            ImageRequest(prompt="a photo", seed=seed, width_px=side, height_px=side, steps=2)
        )

    for side in (32, 96, 384):
        np.testing.assert_array_equal(made(1, side), made(1, side))
    assert (made(1, 96) != made(2, 96)).any()


def test_its_plan_is_said_before_it_is_loaded(capsys):
    """`assay synth estimate mini-sd3` describes it."""
    main(["synth", "plan", "mini-sd3", "--images", "5"])
    told = capsys.readouterr().out
    assert f"mini-sd3@{FIGURES['weights_sha256'][:12]}" in told
    assert "5 at 96x96 px, 20 steps" in told


@pytest.fixture
def photos(tmp_path):
    """Save three photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        factories.photo(seed=index, size=(90, 70)).save(folder / f"{index}.png")
    return folder


TINY = FitSettings(
    kind="kl", widths=(8, 8, 16, 16), latent_channels=16, crop_px=32, batch=2, growth=()
)


def test_the_whole_making_leaves_figures_and_a_card(photos, tmp_path):
    """Autoencoder, pipeline, shrinking and evaluation run for a few steps each."""
    (tmp_path / "texts.txt").write_text("\n".join(tiny_sd3.TEXTS))
    out = tmp_path / "out"
    figures = make_mini_sd3(
        MakeSettings(
            photos=(photos,),
            held_out=(photos,),
            texts=tmp_path / "texts.txt",
            out=out,
            max_steps=3,
            sides_px=(32,),
            squares_each=2,
            times=1,
            autoencoder=TINY,
            pipeline=MiniSettings(
                photos=(), vae=out, texts=out, out=out, batch=4, shape=tiny_sd3.SHAPE
            ),
        )
    )
    assert figures.weights_sha256 == weights_sha256(out)
    assert [row.pictures for row in figures.followed] == [16, 16, 16, 8]
    assert len(figures.psnr_db) == 3
    for name in ("README.md", "eval.json", "samples.png", "reconstructions.jpg", "loss.svg"):
        assert (out / name).stat().st_size > 0
    stored = load_generator(str(out)).pipeline.vae.dtype
    assert stored == torch.float32


def test_fitting_goes_on_from_a_fitted_autoencoder(photos, tmp_path):
    """Without time the result equals the start; rare colours and reduced photos are drawn too."""
    paths = sorted(photos.iterdir())
    first = fit_autoencoder(
        paths, tmp_path / "a", settings=FitSettings(**_told(max_steps=3, colours=True))
    )
    again = fit_autoencoder(
        paths,
        tmp_path / "b",
        settings=FitSettings(
            **_told(minutes=0.0, start=tmp_path / "a", seed=5, long_edges_px=(48,))
        ),
    )
    for key, value in first.module.state_dict().items():
        torch.testing.assert_close(again.module.state_dict()[key], value)


def _told(**more):
    return {name: getattr(TINY, name) for name in TINY.__slots__} | more
