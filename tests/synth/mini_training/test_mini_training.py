"""The training of the small generator has captions by rule and gives a loadable pipeline."""

import factories
import numpy as np
import pytest
import tiny_sd3
from diffusers import StableDiffusion3Pipeline
from PIL import Image

from assay.data.errors import InputError
from assay.synth.generators.protocol import CallableGenerator, ImageRequest
from assay.synth.mini_training.captions import caption, measure, vocabulary, words
from assay.synth.mini_training.evaluation import prompts_followed, psnr_db
from assay.synth.mini_training.model import load_plainly, make_tokenizer
from assay.synth.mini_training.squares import cut_squares
from assay.synth.mini_training.train import MiniSettings, find_photos, train_mini_sd3


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((10, 10, 60), ("dark", "blue", "smooth")),
        ((240, 240, 235), ("bright", "grey", "smooth")),
        ((40, 220, 60), ("bright", "green", "smooth")),
        ((230, 120, 30), ("bright", "orange", "smooth")),
    ],
)
def test_words_are_those_that_anybody_would_use(rgb, expected):
    """Flat colours have the expected words, and noise is detailed."""
    flat = np.full((16, 16, 3), rgb, np.uint8)
    assert words(measure(flat), luma_at=0.4, roughness_at=0.03) == expected
    noisy = np.asarray(factories.noise(size=(16, 16)))
    assert words(measure(noisy), luma_at=0.4, roughness_at=0.03)[2] == "detailed"
    assert caption(expected) in vocabulary()
    assert len(set(vocabulary())) == 16


def test_the_small_tokenizer_writes_anything():
    """It encodes known words whole and unknown ones by bytes, and decodes both."""
    tokenizer = make_tokenizer(tiny_sd3.TEXTS, tiny_sd3.SHAPE)
    for text in ("a dark blue sky", "xyzzy", "naïve"):
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == text
    assert tokenizer.model_max_length == 77
    assert len(tokenizer("dark").input_ids) == 3


def test_squares_are_evened_out_over_the_words(tmp_path):
    """Blue photos alone give every colour, since channels are permuted to fill the gaps."""
    for index in range(3):
        blue = np.asarray(factories.photo(seed=index, size=(80, 60))) // 3
        blue[..., 2] += 150
        Image.fromarray(blue).save(tmp_path / f"{index}.png")
    squares = cut_squares(find_photos([tmp_path]), n_each=4, side_px=48, seed=0)
    colours = [told[1] for told in squares.words]
    assert {"blue", "green", "orange"} <= set(colours)
    assert max(squares.words.count(told) for told in set(squares.words)) == 4
    with pytest.raises(InputError, match=r"no photos \(.*\) below"):
        find_photos([tmp_path / "none"])


def test_a_training_leaves_a_pipeline_that_plain_diffusers_loads(tmp_path):
    """After a few steps the loss has fallen and the pipeline makes images."""
    for index in range(3):
        factories.photo(seed=index, size=(90, 70)).save(tmp_path / f"{index}.png")
    tiny_sd3.tiny_vae().save_pretrained(tmp_path / "vae", safe_serialization=True)
    (tmp_path / "texts.txt").write_text("\n".join(tiny_sd3.TEXTS))
    result = train_mini_sd3(
        MiniSettings(
            photos=(tmp_path,),
            vae=tmp_path / "vae",
            texts=tmp_path / "texts.txt",
            out=tmp_path / "out",
            max_steps=30,
            sides_px=(32, 48),
            squares_each=3,
            batch=8,
            learning_rate=3e-3,
            average_steps=5,
            shape=tiny_sd3.SHAPE,
        )
    )
    assert np.mean(result.losses[-8:]) < np.mean(result.losses[:8])
    pipeline = load_plainly(tmp_path / "out")
    assert isinstance(pipeline, StableDiffusion3Pipeline)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline("a dark photo", width=32, height=32, num_inference_steps=2).images[0]
    assert made.size == (32, 32)


def test_following_is_counted_against_the_same_rule():
    """A generator that follows its prompt always hits; one that ignores it hits by chance."""
    paints = {
        "grey": (1, 1, 1),
        "orange": (1, 0.5, 0.1),
        "green": (0.1, 1, 0.2),
        "blue": (0.1, 0.2, 1),
    }

    def obedient(ask: ImageRequest):
        _, brightness, colour, texture, _ = ask.prompt.split()
        level = 0.25 if brightness == "dark" else 1.0
        rgb = np.array(paints[colour]) * (0.95 * level)
        if brightness == "bright":
            rgb = 0.45 + 0.55 * rgb
        pixels = np.broadcast_to(rgb, (24, 24, 3)).copy()
        if texture == "detailed":
            pixels[::2] *= 0.4
        return np.rint(pixels * 255).astype(np.uint8)

    def followed(function):
        return prompts_followed(
            CallableGenerator(generator_id="g", function=function),
            luma_at=0.35,
            roughness_at=0.01,
            times=1,
            side_px=24,
        )

    assert [row.share for row in followed(obedient)] == [1.0, 1.0, 1.0, 1.0]
    grey = np.full((24, 24, 3), 128, np.uint8)
    assert [(row.share, row.chance) for row in followed(lambda _: grey)] == [
        (0.5, 0.5),
        (0.25, 0.25),
        (0.5, 0.5),
        (0.0, 0.5),
    ]
    assert psnr_db(grey, grey + 1) == pytest.approx(48.13, abs=0.01)
