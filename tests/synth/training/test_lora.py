"""LoRA trainings learn, resume, and give adapters that plain diffusers loads."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_sd3
import torch
from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
from PIL import Image
from safetensors.torch import load, load_file

from assay.data.errors import AssayError, ConfigError, InputError, SynthError
from assay.data.images.inspect_image import inspect_image
from assay.synth.generators.load import LoadSettings, load_generator
from assay.synth.generators.lora import WEIGHTS, Adapter
from assay.synth.training.flow_matching import draw_times, noised, velocity_loss
from assay.synth.training.lora import LoraSettings, lora_targets, train_lora
from assay.synth.training.lora_inputs import find_captioned
from assay.synth.training.lora_state import STATE, safetensors_bytes


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
    """The loss falls, and samples are kept."""
    result, lines = trained
    assert np.mean(result.losses[-10:]) < np.mean(result.losses[:10])
    assert (settings.out / "loss.svg").read_text().startswith("<svg")
    assert sorted(p.name for p in (settings.out / "samples").iterdir()) == [
        "step-000020.png",
        "step-000040.png",
    ]
    sample = (settings.out / "samples" / "step-000020.png").read_bytes()
    assert inspect_image(sample).ai_declared == "iptc: trainedAlgorithmicMedia"
    assert lines[-1].startswith("step 40 of 40")
    assert "next" in result.summary()


def test_plain_diffusers_loads_it_and_the_picture_changes(trained, settings):
    """No code of assay is involved."""
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
    """Half the steps and then all give the same weights as one run."""
    other = dataclasses.replace(settings, out=tmp_path / "out", steps=20)
    train_lora(other)
    lines = []
    train_lora(dataclasses.replace(other, steps=40), on_progress=lines.append)
    assert lines[0] == "resumes after step 20"
    whole, halves = (load_file(folder / WEIGHTS) for folder in (settings.out, other.out))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)
    assert (settings.out / WEIGHTS).read_bytes() == (other.out / WEIGHTS).read_bytes()


def test_stopped_between_two_checkpoints_it_comes_to_the_very_same_file(
    trained, settings, tmp_path
):
    """Checkpoints at other steps and another number of threads change nothing."""
    other = dataclasses.replace(settings, out=tmp_path / "out", save_every=15)

    def stop(line):
        if line.startswith("step 30"):
            raise KeyboardInterrupt

    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        train_lora(other, on_progress=stop)
    (other.out / f"{WEIGHTS}.partial").write_bytes(b"what a kill left")
    lines = []
    try:
        torch.set_num_threads(1)
        train_lora(dataclasses.replace(other, save_every=20), on_progress=lines.append)
    finally:
        torch.set_num_threads(before)
    assert lines[0] == "resumes after step 30"
    assert (settings.out / WEIGHTS).read_bytes() == (other.out / WEIGHTS).read_bytes()
    (other.out / WEIGHTS).unlink()
    assert train_lora(other).steps == 40  # nothing is left to train; the file comes back
    assert (settings.out / WEIGHTS).read_bytes() == (other.out / WEIGHTS).read_bytes()
    assert load_generator(settings.base, LoadSettings(adapters=(Adapter(path=other.out),))).lora


def test_fewer_steps_than_trained_are_refused(trained, settings):
    """The weights would be those of more steps."""
    with pytest.raises(SynthError, match="holds a training of 40 steps; steps = 20 is fewer"):
        train_lora(dataclasses.replace(settings, steps=20))


@pytest.mark.parametrize("change", ["picture", "caption", "removed"])
def test_other_pictures_are_another_training(trained, settings, tmp_path, change):
    """A different caption alone counts too."""
    images = tmp_path / "images"
    shutil.copytree(settings.images, images)
    if change == "picture":
        Image.new("RGB", (40, 40)).save(images / "new.png")
    elif change == "caption":
        (images / "0.txt").write_text("a light red thing")
    else:
        (images / "2.png").unlink()
    with pytest.raises(SynthError, match=r"other settings \(other images or captions\)"):
        train_lora(dataclasses.replace(settings, images=images))


def test_a_damaged_state_is_told_in_one_line(trained, settings, tmp_path):
    """Empty, truncated, changed and foreign files are refused with the remedy."""
    whole = (settings.out / STATE).read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    other = dataclasses.replace(settings, out=tmp_path / "out")
    other.out.mkdir()
    for raw in (b"", whole[:1000], whole[:-30], bytes(changed), b"{}"):
        (other.out / STATE).write_bytes(raw)
        with pytest.raises(
            SynthError, match=r"truncated or damaged \(.*remove it to start over"
        ) as told:
            train_lora(other)
        assert "\n" not in str(told.value)
        assert sorted(path.name for path in other.out.iterdir()) == [STATE]


def test_what_trainings_wrote_is_not_learnt_from(tmp_path):
    """The folders of this and of earlier adapters may be below the images."""
    for name in ("a.png", "below/b.JPG", "out/samples/step-1.png", "old/samples/step-1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"picture")
    for name in (".hidden.png", ".cache/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"picture")
    (tmp_path / "old" / WEIGHTS).write_bytes(b"adapter")
    found = find_captioned(tmp_path, "x", out=tmp_path / "out")
    assert [path.name for path, _ in found] == ["a.png", "b.JPG"]
    with pytest.raises(ConfigError, match="is the folder of the training images"):
        find_captioned(tmp_path, "x", out=tmp_path / "below" / "..")


def test_captions_may_be_of_any_encoding(tmp_path):
    """UTF-8, UTF-16 and Windows-1252 are read; other bytes are refused by name."""
    texts = {"utf-8-sig": "é", "utf-16": "ü a", "cp1252": "ø", "utf-8": "猫"}
    for index, (encoding, text) in enumerate(texts.items()):
        (tmp_path / f"{index}.png").write_bytes(b"picture")
        (tmp_path / f"{index}.txt").write_bytes(text.encode(encoding))
    found = find_captioned(tmp_path, "x", out=tmp_path / "out")
    assert [caption for _, caption in found] == list(texts.values())
    (tmp_path / "0.txt").write_bytes(b"a\0b")
    with pytest.raises(InputError, match=r"0\.txt cannot be read: not text"):
        find_captioned(tmp_path, "x", out=tmp_path / "out")


BAD_SETTINGS = [
    ({"alpha": 0}, "alpha = 0; allowed: a whole number from 1"),
    ({"alpha": 10**400}, "alpha = a number of 1,329 bits"),
    ({"rank": 0}, "rank = 0"),
    ({"rank": True}, "rank = True"),
    ({"steps": 2.5}, "steps = 2.5"),
    ({"seed": 1.5}, "seed = 1.5"),
    ({"learning_rate": "1e-4"}, "learning_rate = '1e-4'"),
    ({"prompt": "sky \udcff"}, "the caption .* cannot be written as UTF-8"),
    ({"images": Path("a" * 300)}, "is not a folder; give a folder of images"),
    ({"learning_rate": float("nan")}, "learning_rate = nan"),
    ({"learning_rate": float("inf")}, "learning_rate = inf"),
    ({"learning_rate": 0.0}, "learning_rate = 0"),
    ({"seed": -1}, "seed = -1; allowed: 0 to 4294967295"),
    ({"seed": 2**63}, "seed = 9223372036854775808"),
    ({"rank": 33}, "rank 33; allowed: at most 32"),
    ({"size_px": 16}, "16x16 px"),
    ({"size_px": 4096}, "4096x4096 px"),
    ({"prompt": "word " * 90}, r"1\.png: the prompt has \d+ tokens; without T5"),
]


@pytest.mark.parametrize(("change", "message"), BAD_SETTINGS, ids=lambda value: str(value)[:30])
def test_settings_out_of_place_are_refused_before_the_first_step(
    settings, tmp_path, change, message
):
    """The folder of the adapter stays empty."""
    out = tmp_path / "out"
    with pytest.raises(AssayError, match=message):
        train_lora(dataclasses.replace(settings, out=out, **change))
    assert not out.exists() or not list(out.iterdir())


def test_a_step_that_memory_is_too_short_for_says_what_to_change(settings, tmp_path):
    """A batch of a trillion images does not fit."""
    with pytest.raises(SynthError, match=r"step 1 failed: .*fewer images per step \(batch 10"):
        train_lora(dataclasses.replace(settings, out=tmp_path / "out", batch=10**12))


def test_an_adapter_cannot_be_written_into_a_file(settings, tmp_path):
    """The error comes before anything is loaded."""
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("file" * 99)):
        with pytest.raises(ConfigError, match=r"--out .*file"):
            train_lora(dataclasses.replace(settings, out=out))


def test_an_adapter_cannot_be_written_into_its_base(settings):
    """Its weights would change the id of the base."""
    base = Path(settings.base)
    for out in (base, base / "adapters" / "mine"):
        with pytest.raises(ConfigError, match="lies in the folder of the base"):
            train_lora(dataclasses.replace(settings, out=out))
    assert not (base / "adapters").exists()


def test_a_link_to_nowhere_is_said_and_not_left_out(tmp_path):
    """Broken links of images and captions are errors."""
    (tmp_path / "a.png").write_bytes(b"picture")
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone.txt")
    with pytest.raises(InputError, match=r"the caption .*a\.txt cannot be read"):
        find_captioned(tmp_path, "x", out=tmp_path / "out")
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"b\.png is a broken link; remove it"):
        find_captioned(tmp_path, "x", out=tmp_path / "out")


def test_the_same_tensors_give_the_same_file():
    """Metadata have a fixed order, and plain readers read the file."""
    tensors = {"b": torch.arange(5.0), "a": torch.ones(2, dtype=torch.bfloat16)}
    told = {name: name for name in "qwertyuiop"}
    files = {safetensors_bytes(tensors, told) for _ in range(8)}
    assert len(files) == 1
    back = load(files.pop())
    assert all(torch.equal(back[name], value) for name, value in tensors.items())


def test_a_folder_with_another_training_is_refused(trained, settings):
    """The trainings are not mixed."""
    with pytest.raises(SynthError, match="holds a training with other settings"):
        train_lora(dataclasses.replace(settings, rank=2))


def test_mediums_second_attention_is_trained_too():
    """A match by name ending alone would miss it."""
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
    """A missing folder, no images and an unsupported size are refused."""
    with pytest.raises(InputError, match="is not a folder"):
        train_lora(dataclasses.replace(settings, images=tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no images"):
        train_lora(dataclasses.replace(settings, images=tmp_path / "empty"))
    with pytest.raises(ConfigError, match="multiples of 16"):
        dataclasses.replace(settings, size_px=40)
    shutil.copytree(settings.images, tmp_path / "bad")
    (tmp_path / "bad" / "x.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"cannot be decoded.*remove it"):
        train_lora(dataclasses.replace(settings, images=tmp_path / "bad", out=tmp_path / "o"))


def test_the_objective_is_the_line_from_latents_to_noise():
    """The ends of the line are the latents and the noise, and the true velocity has no loss."""
    latents, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(noised(latents, noise, torch.zeros(2)), latents)
    torch.testing.assert_close(noised(latents, noise, torch.ones(2)), noise)
    assert float(velocity_loss(noise - latents, latents, noise)) == 0
    times = draw_times(20_000, torch.Generator().manual_seed(0))
    assert float(times.median()) == pytest.approx(0.5, abs=0.01)
    shifted = draw_times(20_000, torch.Generator().manual_seed(0), shift=3.0)
    assert float(shifted.median()) == pytest.approx(0.75, abs=0.01)
