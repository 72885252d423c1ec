"""Generators of the family load, refuse bad input, and give the same pixels for equal requests."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tiny_sd3
import torch
from diffusers import StableDiffusion3Pipeline
from safetensors.torch import load_file, save_file
from tiny_sd3 import adapter_file

from assay.data.errors import ConfigError, SynthError
from assay.synth.generators import quantised_parts as parts_module
from assay.synth.generators.checkpoints import find_generator, weights_sha256
from assay.synth.generators.control import control_input, drawn_control
from assay.synth.generators.load import LoadSettings, load_generator, plan_for
from assay.synth.generators.lora import WEIGHTS, Adapter
from assay.synth.generators.presets import LARGE, LARGE_TURBO
from assay.synth.generators.protocol import ImageRequest
from assay.synth.generators.quantised_parts import quantised_parts
from assay.synth.masks import draw_mask

PARENT = np.random.default_rng(3).integers(0, 256, (50, 71, 3), dtype=np.uint8)
TEXT = ImageRequest(prompt="a dark blue sky", seed=7, width_px=64, height_px=48, steps=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_sd3.tiny_folder(tmp_path_factory.mktemp("sd3") / "tiny")


@pytest.fixture(scope="module")
def tiny(folder):
    return load_generator(str(folder))


@pytest.fixture(scope="module")
def with_t5(tmp_path_factory):
    return tiny_sd3.tiny_folder_with_t5(tmp_path_factory.mktemp("sd3") / "with-t5")


def test_an_ask_gives_its_pixels_whatever_was_made_before(tiny):
    """Earlier requests change nothing; the seed and the prompt do."""
    first = tiny.make(TEXT)
    tiny.make(ImageRequest(prompt="a sign", seed=1, width_px=32, height_px=32, steps=1))
    np.testing.assert_array_equal(tiny.make(TEXT), first)
    assert first.shape == (48, 64, 3)
    for other in ({"seed": 8}, {"prompt": "a bright green field"}):
        told = {"prompt": TEXT.prompt, "seed": 7, "width_px": 64, "height_px": 48, "steps": 2}
        assert (tiny.make(ImageRequest(**told | other)) != first).any()


def plainly(pipeline, guidance):
    """Return the image of `TEXT` by the pipeline of diffusers, in [0, 1]."""
    return pipeline(
        TEXT.prompt,
        width=64,
        height=48,
        num_inference_steps=2,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(7),
        output_type="np",
    ).images[0]


def test_pixels_are_those_of_plain_diffusers(folder, tiny):
    """The same call of the library's own pipeline gives the same rounded pixels."""
    plain = StableDiffusion3Pipeline.from_pretrained(
        folder, text_encoder_3=None, tokenizer_3=None, image_encoder=None, feature_extractor=None
    )
    made = np.rint(plainly(plain, tiny.preset.guidance) * 255).astype(np.uint8)
    # The many zero vectors of the absent T5 encoder, which are else counted and not computed.
    whole = dataclasses.replace(TEXT, extra={"max_sequence_length": 256})
    np.testing.assert_array_equal(tiny.make(whole), made)
    assert np.abs(tiny.make(TEXT).astype(int) - made).max() <= 1


def test_a_parent_of_any_size_comes_back_at_its_size(tiny):
    """Sides that 16 does not divide are padded and cropped again."""
    ask = ImageRequest(prompt="x", seed=1, parent_rgb=PARENT, strength=0.5, steps=4)
    assert tiny.make(ask).shape == PARENT.shape


def test_more_strength_leaves_less_of_the_parent(tiny):
    """The measure is the distance to the reconstruction by the autoencoder alone."""

    def made(strength):
        ask = ImageRequest(prompt="x", seed=1, parent_rgb=PARENT, strength=strength, steps=10)
        return tiny.make(ask).astype(float)

    base = made(0.1)
    assert np.abs(made(0.3) - base).mean() < np.abs(made(0.9) - base).mean()


def test_inpainting_changes_what_the_mask_names(tiny):
    """Far from the mask the image is the autoencoder's reconstruction; under it, it is not."""
    parent = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)

    def painted(rule_mask):
        ask = ImageRequest(seed=2, parent_rgb=parent, mask_hw=rule_mask, strength=1.0, steps=4)
        return tiny.make(ask).astype(int)

    nothing = painted(draw_mask("empty", 128, 64, 0))
    mask = np.zeros((64, 128), bool)
    mask[:, :32] = True
    some = painted(mask)
    change = np.abs(some - nothing).mean(axis=(0, 2))
    assert change[:24].mean() > 5 * change[96:].mean()


def test_controlnet_is_followed_when_it_is_loaded(folder, tmp_path):
    """Another control image gives another result; without a ControlNet it is an error."""
    tiny_sd3.tiny_controlnet(tmp_path / "canny")
    guided = load_generator(str(folder), LoadSettings(controlnet=str(tmp_path / "canny")))
    black, noisy = np.zeros((64, 64, 3), np.uint8), np.resize(PARENT, (64, 64, 3))
    asks = [
        ImageRequest(prompt="x", seed=1, width_px=64, height_px=64, steps=2, control_rgb=control)
        for control in (black, noisy)
    ]
    assert (guided.make(asks[0]) != guided.make(asks[1])).any()
    with pytest.raises(SynthError, match="no ControlNet is loaded"):
        load_generator(str(folder)).make(asks[0])
    with pytest.raises(SynthError, match="image is 64x64 px and the image to make 96x64 px"):
        guided.make(dataclasses.replace(asks[0], width_px=96))
    with pytest.raises(SynthError, match=r"a control image and a parent; .*give only one of them"):
        guided.make(dataclasses.replace(asks[0], parent_rgb=black))


def test_a_guided_ask_gives_its_pixels_and_draws_no_noise_of_others(folder, tmp_path):
    """The process's global noise, from which plain diffusers samples, has no effect.

    A ControlNet that is loaded and not requested has none either.
    """
    tiny_sd3.tiny_controlnet(tmp_path / "canny")
    guided = load_generator(str(folder), LoadSettings(controlnet=str(tmp_path / "canny")))
    ask = dataclasses.replace(TEXT, control_rgb=np.resize(PARENT, (48, 64, 3)))
    torch.manual_seed(1)
    first = guided.make(ask)
    after = torch.rand(3)
    np.testing.assert_array_equal(guided.make(ask), first)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after)
    alone = load_generator(str(folder))
    np.testing.assert_array_equal(guided.make(TEXT), alone.make(TEXT))
    again = dataclasses.replace(TEXT, parent_rgb=PARENT, width_px=None, height_px=None, steps=4)
    np.testing.assert_array_equal(guided.make(again), alone.make(again))


def test_the_noise_of_a_control_image_does_not_come_from_the_devices_generator(
    folder, tmp_path, monkeypatch
):
    """A GPU's global generator draws other numbers from the same seed; the image stays the same."""
    tiny_sd3.tiny_controlnet(tmp_path / "canny")
    guided = load_generator(str(folder), LoadSettings(controlnet=str(tmp_path / "canny")))
    ask = dataclasses.replace(TEXT, control_rgb=np.resize(PARENT, (48, 64, 3)))
    first = guided.make(ask)
    seed_as_elsewhere = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: seed_as_elsewhere(seed + 1))
    np.testing.assert_array_equal(guided.make(ask), first)


def test_a_plan_with_tiles_decodes_512_px_at_once(folder):
    """An image of 640 px is decoded in tiles, where diffusers would start above 1024 px."""
    whole = plan_for(LARGE, LoadSettings(t5="drop"), device="cpu")
    tiled = load_generator(str(folder), plan=dataclasses.replace(whole, vae_tiling=True))
    sides = []
    decoder = tiled.pipeline.vae.decoder
    decoder.register_forward_hook(lambda _m, given, _out: sides.append(max(given[0].shape[-2:])))
    with torch.inference_mode():
        decoded = tiled.pipeline.vae.decode(torch.zeros(1, 16, 6, 640 // 8)).sample
    assert decoded.shape[-2:] == (48, 640)
    assert sides == [512 // 8, (640 - 384) // 8]


def test_control_pictures_are_given_to_the_network_as_it_was_trained():
    """Depth and blur are in [-1, 1]; edges are 0.5 and 128, see diffusers' pull request 10020."""
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0] = 255
    assert control_input("blur", rgb)[0, 0].tolist() == [[1.0, 1.0], [-1.0, -1.0]]
    assert control_input("canny", rgb)[0, 0].tolist() == [[128.0, 128.0], [0.5, 0.5]]


def test_edges_are_drawn_where_a_picture_has_them():
    """A white square on black has edges at its rim only; blurred, it keeps its mean."""
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[16:48, 16:48] = 255
    edges = drawn_control("canny", rgb)
    assert set(np.unique(edges)) == {0, 255}
    assert edges[20:44, 20:44].max() == edges[:12].max() == 0
    assert (edges[30, :, 0] == 255).sum() == 2
    blurred = drawn_control("blur", rgb).astype(float)
    assert blurred.mean() == pytest.approx(rgb.mean(), rel=0.02)
    assert 0 < blurred[16, 32, 0] < 255
    with pytest.raises(SynthError, match="depth is not estimated here"):
        drawn_control("depth", rgb)
    with pytest.raises(SynthError, match="control = 'edges'; allowed: canny"):
        drawn_control("edges", rgb)


def test_a_controlnet_has_the_steps_and_guidance_of_its_publishers():
    """Large has 60 steps at guidance 3.5; the other models have no ControlNet values."""
    assert LARGE.usual(controlled=True) == (60, 3.5)
    assert LARGE.usual(controlled=False) == (40, 4.5)
    assert LARGE_TURBO.usual(controlled=True) == (4, 0.0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (ImageRequest(width_px=65, height_px=64), "multiples of 16 px; the nearest size is 64x64"),
        (ImageRequest(width_px=16, height_px=16), "areas from 32x32"),
        (ImageRequest(prompt="word " * 100), "has 402 tokens.*at most 77.*or keep T5"),
        (ImageRequest(parent_rgb=PARENT, strength=0.1, steps=4), "strengths from 0.25 for 4 steps"),
        (ImageRequest(steps=0), "at least 1"),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_work(tiny, ask, message):
    """Size, prompt, strength and steps are checked."""
    with pytest.raises(SynthError, match=message):
        tiny.make(ask)


def test_a_mask_of_another_size_is_refused():
    """The message names both sizes."""
    with pytest.raises(SynthError, match="the mask is 8x9 px and its image 71x50 px"):
        ImageRequest(parent_rgb=PARENT, mask_hw=np.zeros((9, 8), bool))


def test_folders_that_are_not_what_they_say_are_refused(folder, tmp_path):
    """A foreign class, a missing part, pickles and a missing index are refused."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps(index | {"vae": ["evil", "Runner"]}))
    with pytest.raises(SynthError, match=r"names evil\.Runner as its vae; allowed: AutoencoderKL"):
        find_generator(str(copy))
    (copy / "model_index.json").write_text(json.dumps(index))
    weights = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(SynthError, match="has no safetensors"):
        find_generator(str(copy))
    shutil.rmtree(copy / "transformer")
    with pytest.raises(SynthError, match="does not have the folder transformer"):
        find_generator(str(copy))
    (copy / "model_index.json").unlink()
    with pytest.raises(SynthError, match="is not a diffusers folder"):
        find_generator(str(copy))


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder_2"])
def test_a_file_that_was_cut_off_is_refused(folder, tmp_path, part):
    """Weights of an interrupted download are refused, whichever library reads them."""
    copy = tmp_path / "cut"
    shutil.copytree(folder, copy)
    (path,) = (copy / part).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SynthError, match="cannot be loaded"):
        load_generator(str(copy))


def test_hub_names_must_be_pinned_and_say_what_to_do_when_missing(tmp_path, monkeypatch):
    """Offline, the message for a gated model names the token, the cache and the folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SynthError, match="40 hex digits"):
        find_generator("stabilityai/stable-diffusion-3.5-large")
    with pytest.raises(SynthError, match=r"not in the hub's cache.*give a local folder"):
        find_generator("sd3.5-large-turbo")
    with pytest.raises(SynthError, match=r"allowed: sd3\.5-large, "):
        find_generator("sd4")


def test_a_copied_hub_cache_is_enough(folder, tmp_path, monkeypatch):
    """A cache with the pinned commit loads without a network."""
    revision = "b940f670f0eda2d07fbb75229e779da1ad11eb80"
    root = tmp_path / "models--stabilityai--stable-diffusion-3.5-medium"
    shutil.copytree(folder, root / "snapshots" / revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    files = find_generator("sd3.5-medium")
    assert files.generator_id == f"stabilityai/stable-diffusion-3.5-medium@{revision}"
    assert files.preset.skip_layers == (7, 8, 9)


def test_one_changed_byte_is_another_generator(folder, tmp_path):
    """The id of a local folder depends on its weights."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert weights_sha256(copy) == weights_sha256(folder)
    path = copy / "vae" / "diffusion_pytorch_model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert weights_sha256(copy) != weights_sha256(folder)


LAYER = "transformer_blocks.0.attn.to_q"


def test_adapters_that_do_not_belong_or_do_nothing_are_refused(folder, tmp_path):
    """Other shapes, other layers, all zeros, no LoRA and no safetensors are refused."""
    cases = {
        "wide": (
            adapter_file(tmp_path / "wide", shapes={LAYER: (64, 32)}),
            "base has 32 inputs",
        ),
        "deep": (
            adapter_file(
                tmp_path / "deep",
                shapes={"transformer_blocks.9.attn.to_q": (32, 32)},
                metadata={"base_model": "stabilityai/stable-diffusion-3.5-large"},
            ),
            "does not have this layer; its metadata names the base "
            "stabilityai/stable-diffusion-3.5-large",
        ),
        "zero": (
            adapter_file(tmp_path / "zero", shapes={LAYER: (32, 32)}, up=0.0),
            "has no effect",
        ),
    }
    (tmp_path / "other").mkdir()
    save_file({"weight": torch.ones(2)}, tmp_path / "other" / WEIGHTS)
    cases["other"] = (Adapter(path=tmp_path / "other"), "is not a LoRA")
    (tmp_path / "x.bin").write_bytes(b"x")
    cases["pickle"] = (Adapter(path=tmp_path / "x.bin"), "never opened")
    for adapter, message in cases.values():
        with pytest.raises(SynthError, match=message):
            load_generator(str(folder), LoadSettings(adapters=(adapter,)))


def test_adapters_add_up_by_their_weights_fused_or_not(folder, tmp_path, tiny):
    """Two adapters differ from each one; fused, the image is equal within rounding."""
    one = adapter_file(tmp_path / "one", shapes={LAYER: (32, 32)})
    two = adapter_file(tmp_path / "two", shapes={"transformer_blocks.1.attn.to_v": (32, 32)})
    half = Adapter(path=two.path, weight=0.5)

    def made(*adapters, fuse=False):
        loaded = load_generator(str(folder), LoadSettings(adapters=adapters, fuse=fuse))
        return loaded, loaded.make(TEXT).astype(int)

    plain = tiny.make(TEXT).astype(int)
    both, pixels = made(one, half)
    assert (pixels != plain).any()
    assert (pixels != made(one)[1]).any()
    assert np.abs(made(one, half, fuse=True)[1] - pixels).max() <= 1
    assert both.lora.startswith("one@")
    assert both.lora.endswith("*0.5")
    before = load_file(one.file)
    assert all(torch.equal(before[name], value) for name, value in load_file(one.file).items())


def test_bfloat16_paints_nearly_the_same_picture(folder, tiny):
    """It takes half the memory, differs by a few levels of 255, and is finite."""
    half = load_generator(str(folder), LoadSettings(precision="bf16"))
    assert half.pipeline.transformer.dtype == torch.bfloat16
    apart = np.abs(half.make(TEXT).astype(int) - tiny.make(TEXT))
    assert 0 < apart.mean() < 8


def test_t5_is_kept_dropped_or_held_in_int8(with_t5):
    """Kept, the image is plain diffusers'; dropped, another; in int8, close to the kept one."""

    def made(t5):
        loaded = load_generator(str(with_t5), LoadSettings(t5=t5))
        return loaded, loaded.make(TEXT).astype(int)

    kept, pixels = made("keep")
    plain = StableDiffusion3Pipeline.from_pretrained(
        with_t5, image_encoder=None, feature_extractor=None
    )
    told = plainly(plain, kept.preset.guidance)
    np.testing.assert_array_equal(pixels, np.rint(told * 255))
    dropped, other = made("drop")
    assert dropped.pipeline.text_encoder_3 is None
    assert (other != pixels).any()
    held, close = made("int8")
    weight = held.pipeline.text_encoder_3.encoder.block[0].layer[0].SelfAttention.q.weight
    assert type(weight).__module__.startswith("torchao.")
    assert held.plan.t5 == "int8"
    assert np.abs(close - pixels).mean() < np.abs(other - pixels).mean()


def test_little_memory_takes_fewer_bits_for_t5_and_then_for_the_transformer(with_t5):
    """The plan states it before loading, and the loaded parts agree with the plan."""
    plans = [
        plan_for(LARGE, LoadSettings(memory=f"{gb}GB", precision="bf16"), device="cpu")
        for gb in (40, 30, 20)
    ]
    assert [(p.t5, p.transformer, p.offload) for p in plans] == [
        ("keep", "bf16", "none"),
        ("int8", "bf16", "none"),
        ("int8", "int8", "none"),
    ]
    plan = dataclasses.replace(plans[2], precision="fp32")
    parts = quantised_parts(with_t5, plan, torch.float32, "cpu")
    assert set(parts) == {"text_encoder_3", "transformer"}
    weight = parts["transformer"].transformer_blocks[0].attn.to_q.weight
    assert type(weight).__module__.startswith("torchao.")


def test_what_is_said_of_t5_counts_beside_a_memory():
    """The plan keeps the setting, and is refused where it cannot fit."""

    def chosen(memory, t5):
        plan = plan_for(LARGE, LoadSettings(memory=memory, t5=t5), device="cuda")
        return plan.t5, plan.transformer, plan.offload

    assert chosen("40GB", "auto") == ("keep", "bf16", "none")
    assert chosen("40GB", "drop") == ("drop", "bf16", "none")
    assert chosen("24GB", "nf4") == ("nf4", "bf16", "model")
    assert chosen("24GB", "drop") == ("drop", "bf16", "none")
    # 9.52 GB of T5 in bf16, alone on the device, and 0.8 to work with; a tenth is left free.
    with pytest.raises(SynthError, match=r"needs at least 11\.5 GB with the smallest plan"):
        chosen("8GB", "keep")


def test_t5_in_nf4_is_the_published_one_within_four_bits(tmp_path):
    """It runs on CPUs too by bitsandbytes, and every weight is within its block's rounding."""
    tiny_sd3.tiny_t5(64, d_kv=32)[0].save_pretrained(tmp_path / "text_encoder_3")
    plan = plan_for(LARGE, LoadSettings(t5="nf4"), device="cpu")
    assert (plan.t5, plan.transformer) == ("nf4", "fp32")
    (name, held), *others = quantised_parts(tmp_path, plan, torch.float32, "cpu").items()
    assert (name, others) == ("text_encoder_3", [])
    query = held.encoder.block[0].layer[0].SelfAttention.q.weight
    assert type(query).__name__ == "Params4bit"
    assert query.dtype == torch.uint8
    stored = load_file(tmp_path / "text_encoder_3" / "model.safetensors")
    published = stored["encoder.block.0.layer.0.SelfAttention.q.weight"]
    rounded = held.dequantize().encoder.block[0].layer[0].SelfAttention.q.weight
    # The widest gap between neighbours of the sixteen values is 0.30 of a block's largest.
    assert (rounded - published).abs().max() <= 0.16 * published.abs().max()
    assert (rounded - published).norm() < 0.12 * published.norm()


def test_fewer_bits_that_cannot_be_had_are_refused(with_t5, monkeypatch):
    """Both messages name the missing package and the alternatives."""
    monkeypatch.setattr(parts_module, "find_spec", lambda _name: None)
    for bits, extra in (("nf4", "bitsandbytes"), ("int8", "torchao")):
        with pytest.raises(SynthError, match=rf"pip install 'assay\[{extra}\]'.*keep or drop"):
            load_generator(str(with_t5), LoadSettings(t5=bits))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"device": "gpu"},
            ConfigError,
            "device 'gpu' is unknown; allowed: auto, cpu, cuda, xpu, mps",
        ),
        ({"device": "xpu"}, ConfigError, "device 'xpu' is not available; this machine has: .*cpu"),
        ({"precision": "fp8"}, SynthError, "precision = 'fp8'; allowed: auto, fp32, bf16, fp16"),
    ],
)
def test_devices_and_precisions_that_are_not_there_are_refused(folder, settings, error, message):
    """The message names the value and the allowed ones."""
    with pytest.raises(error, match=message):
        load_generator(str(folder), LoadSettings(**settings))


def test_a_folder_without_t5_asks_for_none(folder):
    """A small memory is no reason for quantisation if there is nothing to quantise."""
    loaded = load_generator(str(folder), LoadSettings(memory="1GB", t5="auto"))
    assert loaded.plan.t5 == "drop"
    assert loaded.pipeline.text_encoder_3 is None
