"""Training the embedded detector: the split, the views, the figures, and one short training."""

from __future__ import annotations

import io
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image, JpegImagePlugin
from sklearn.metrics import roc_auc_score
from torch import nn

from assay.data.errors import ConfigError, InputError
from assay.synth.autoencoder import load_autoencoder
from assay.tasks.detector.training.card import aligned_verdict, verdict
from assay.tasks.detector.training.evaluation import (
    Auc,
    Evaluation,
    Row,
    auc_with_interval,
    codec_features,
    evaluate,
    photo_side,
    score,
    worth,
)
from assay.tasks.detector.training.model import (
    Average,
    build_vit,
    log_energies,
    set_half,
    tell_patches,
    whiten_patches,
)
from assay.tasks.detector.training.pictures import (
    Part,
    Picture,
    centred_window,
    find_pictures,
    make_twins,
    source_weights,
)
from assay.tasks.detector.training.train import MiniSettings, train_mini
from assay.tasks.detector.training.views import decode, normalised, random_view


def photo(seed: int, *, is_fake: bool = False, size: tuple[int, int] = (112, 96)) -> Image.Image:
    """Smooth colours; a fake has a faint grid, as crude upsampling leaves it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 216, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-3, 4, smooth.shape)
    rows, columns = np.indices(smooth.shape[:2])
    grid = 20 * ((rows + columns) % 2)[..., None] if is_fake else 0
    return Image.fromarray(np.clip(smooth + grain + grid, 0, 255).astype(np.uint8))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two sources of photos, two of fakes, eight pictures each, and a manifest of generators."""
    rows = ["path\tgenerator"]
    for kind, source in (("real", "a"), ("real", "b"), ("fake", "x"), ("fake", "y")):
        folder = tmp_path / kind / source
        folder.mkdir(parents=True)
        for index in range(8):
            name = f"{index}.png"
            photo(hash_of(source, index), is_fake=kind == "fake").save(folder / name)
            if source == "y":
                rows.append(f"{kind}/{source}/{name}\ty-{index % 2}")
    (tmp_path / "real" / "a" / "notes.txt").write_text("not a picture")
    (tmp_path / "manifest.tsv").write_text("\n".join(rows))
    return tmp_path


def hash_of(source: str, index: int) -> int:
    return ord(source) * 100 + index


def autoencoder_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).save_pretrained(folder, safe_serialization=True)
    return folder


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
    """The loss falls, the folder loads as a detector, and the card's figures are its figures."""
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
    assert model.config.num_labels == 1
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
        find_pictures(
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
    """Batches are drawn from the seed and the step alone."""
    changes = {"max_steps": 20, "hold_out": ()}
    first = train_mini(tiny_settings(folders, tmp_path / "one", **changes))
    second = train_mini(tiny_settings(folders, tmp_path / "two", **changes))
    other = train_mini(tiny_settings(folders, tmp_path / "three", seed=1, **changes))
    assert np.allclose(first.losses, second.losses, atol=1e-4)
    assert not np.allclose(first.losses, other.losses, atol=1e-4)
    assert "Nothing was held out" in (tmp_path / "one" / "README.md").read_text()


def test_without_an_autoencoder_one_is_fitted(folders: Path, tmp_path: Path) -> None:
    """The fitted one lies in the cache folder beside the output."""
    train_mini(tiny_settings(folders, tmp_path / "mini", autoencoders=(), max_steps=10))
    fitted = load_autoencoder(tmp_path / "mini-cache" / "fitted")
    assert fitted.name == "fitted"


def test_sides_must_fit_the_patch(folders: Path, tmp_path: Path) -> None:
    """The message names the sides and the patch."""
    with pytest.raises(ConfigError, match="32 and 70 px are no multiples of the patch, 16 px"):
        train_mini(tiny_settings(folders, tmp_path / "mini", image_px=70))


def test_the_split_goes_by_source_and_generator(folders: Path) -> None:
    """What a name holds out is held out whole, and no other picture is."""
    pictures = find_pictures(
        [folders / "real"],
        [folders / "fake"],
        manifests=[folders / "manifest.tsv"],
        hold_out=("b", "*-1"),
        validation_share=0.3,
    )
    assert len(pictures) == 32
    held_out = {(p.source, p.generator, p.held_out_as) for p in pictures if p.part is Part.HELD_OUT}
    assert held_out == {("b", "b", "b"), ("y", "y-1", "*-1")}
    assert sum(p.part is Part.HELD_OUT for p in pictures) == 12
    assert 1 <= sum(p.part is Part.VALIDATION for p in pictures) <= 12


@pytest.mark.parametrize(
    ("hold_out", "message"),
    [
        (("kodac",), r"nothing to hold out is named \['kodac'\]; known: a, b, x, y"),
        (("a", "b"), "no photos left to learn from"),
        (("x", "y"), "no machine-made pictures left"),
    ],
)
def test_a_split_that_cannot_be_is_refused(
    folders: Path, hold_out: tuple[str, ...], message: str
) -> None:
    """A misspelt name would leak the test into the training."""
    with pytest.raises(InputError, match=message):
        find_pictures([folders / "real"], [folders / "fake"], hold_out=hold_out)


def test_a_missing_folder_and_a_bad_manifest_are_refused(folders: Path) -> None:
    """Both messages name the path."""
    with pytest.raises(InputError, match="nowhere is not a folder"):
        find_pictures([folders / "nowhere"], [folders / "fake"])
    (folders / "bad.tsv").write_text("file\tmodel\n")
    with pytest.raises(InputError, match="columns path and generator"):
        find_pictures([folders / "real"], [folders / "fake"], manifests=[folders / "bad.tsv"])


def test_small_sources_are_drawn_more_often_by_picture() -> None:
    """One picture of one and one of four: odds 1 to 1/2 each, so 1/3 and 1/6 of the draws."""
    pictures = [
        Picture(path=Path(s), source=s, generator=s, is_fake=False, part=Part.TRAIN)
        for s in ("a", "b", "b", "b", "b")
    ]
    assert source_weights(pictures) == pytest.approx([1 / 3, *[1 / 6] * 4])


def test_twins_are_made_once_and_match_in_codec(tmp_path: Path) -> None:
    """A second call reads the cache; photo and fake differ in pixels, not in tables or size."""
    path = tmp_path / "p.jpg"
    photo(1, size=(200, 120)).save(path, quality=83)
    picture = Picture(path=path, source="s", generator="s", is_fake=False, part=Part.TRAIN)
    autoencoder = load_autoencoder(autoencoder_folder(tmp_path / "autoencoder"))
    lines: list[str] = []
    for _ in range(2):
        twins = make_twins(
            [picture], autoencoder, tmp_path / "cache", window_px=96, on_progress=lines.append
        )
    assert len(lines) == 1
    assert twins[0].window == (48, 0, 144, 96) == centred_window(path, 96)
    sides = [Image.open(io.BytesIO(raw)) for raw in (photo_side(twins[0]), twins[0].raw)]
    for side in sides:
        assert isinstance(side, JpegImagePlugin.JpegImageFile)
    assert sides[0].size == sides[1].size == (96, 96)
    assert sides[0].quantization == sides[1].quantization
    assert codec_features(photo_side(twins[0]))[4:] == codec_features(twins[0].raw)[4:]


def test_a_photo_that_cannot_be_matched_is_left_out_and_told(tmp_path: Path) -> None:
    """A GIF under a PNG's name is no pair, and says so."""
    path = tmp_path / "p.png"
    photo(1).save(path, "GIF")
    picture = Picture(path=path, source="s", generator="s", is_fake=False, part=Part.TRAIN)
    autoencoder = load_autoencoder(autoencoder_folder(tmp_path / "autoencoder"))
    lines: list[str] = []
    assert make_twins([picture], autoencoder, tmp_path / "c", on_progress=lines.append) == []
    assert "no twin of p.png" in lines[0]


def test_normalising_a_grey_pixel() -> None:
    """128 / 255 in the red channel is (0.50196 - 0.485) / 0.229 = 0.0741."""
    out = normalised(np.full((1, 2, 2, 3), 128, np.uint8))
    assert out.shape == (1, 3, 2, 2)
    assert out[0, 0, 0, 0].item() == pytest.approx(0.0741, abs=1e-4)


@pytest.mark.parametrize("size", [(112, 96), (40, 30), (500, 37)])
def test_twins_get_the_same_random_view(size: tuple[int, int]) -> None:
    """With the same generator state the draw is the same; shape and type always hold."""
    image = photo(5, size=size)
    for seed in range(30):
        views = [random_view(image, 32, 64, np.random.default_rng(seed)) for _ in range(2)]
        assert views[0].shape == (32, 32, 3)
        assert views[0].dtype == np.uint8
        assert (views[0] == views[1]).all()


def test_without_strength_nothing_is_encoded_again() -> None:
    """A one-coloured picture of odd colour stays exactly that colour."""
    image = Image.new("RGB", (90, 70), (13, 77, 201))
    for seed in range(30):
        view = random_view(image, 32, 64, np.random.default_rng(seed), strength=0.0)
        assert (view == (13, 77, 201)).all()


def test_whitened_patches_answer_with_even_strength() -> None:
    """On the pictures they were measured on, filters vary about alike, luminance and colour."""
    views = np.stack([np.asarray(photo(seed, size=(64, 64))) for seed in range(24)])
    pixels = normalised(views)
    model = build_vit(image_px=64, patch_px=8, width=64, layers=1, heads=1)
    whiten_patches(model, pixels, seed=0)
    with torch.no_grad():
        spread = model.vit.embeddings.patch_embeddings.projection(pixels).std(dim=(0, 2, 3))
    assert spread.max() / spread.min() < 4


def test_the_half_lies_between_the_classes() -> None:
    """Logits 2 and 4 around the middle 3: their order stays, and 3 becomes 0."""
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
    """After one step the young average has taken most of the change: 1 - 2/11 = 9/11."""
    model = build_vit(image_px=32, patch_px=16, width=16, layers=1, heads=1)
    average = Average(model)
    with torch.no_grad():
        before = model.classifier.bias.clone()
        model.classifier.bias += 1.0
    average.update(model)
    moved = (average.model.classifier.bias - before).item()
    assert moved == pytest.approx(9 / 11, abs=1e-6)


def test_auc_is_scikit_learns_and_its_interval_holds_it() -> None:
    """Ties count half, as there."""
    rng = np.random.default_rng(0)
    real, fake = rng.integers(0, 20, 40), rng.integers(5, 25, 30)
    found = auc_with_interval(real, fake)
    labels = np.r_[np.zeros(40), np.ones(30)]
    assert found.auc == pytest.approx(roc_auc_score(labels, np.r_[real, fake]))
    assert found.low < found.auc < found.high
    assert auc_with_interval(real, real + 100) == Auc(auc=1.0, low=1.0, high=1.0)


@pytest.mark.parametrize(("n_real", "n_fake", "is_paired"), [(0, 3, False), (3, 2, True)])
def test_no_area_without_both_classes(n_real: int, n_fake: int, is_paired: bool) -> None:
    """Nor from pairs that do not pair."""
    with pytest.raises(ValueError, match=f"{n_real} photos and {n_fake} fakes"):
        auc_with_interval(np.zeros(n_real), np.zeros(n_fake), is_paired=is_paired)


def test_the_score_does_not_depend_on_the_batch() -> None:
    """One at a time or five at once."""
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
        ((0.90, 0.85, 0.92), "says little about pictures"),
        ((0.90, 0.85, 0.6), "Its AUC is 0.90"),
    ],
)
def test_the_verdict_follows_the_figures(figures: tuple[float, float, float], words: str) -> None:
    """Chance is called chance, and a control that does as well is named."""
    assert words in verdict(held_out(*figures))


@pytest.mark.parametrize(
    ("lows", "words"),
    [
        ((0.45, 0.3), "it finds nothing"),
        ((0.7, 0.3), "no better than chance for `taef` of photos reduced to 440 px first 0.80"),
        ((0.7, 0.7), "above chance for `taef` 0.80 (0.70 to 0.90), `taef` of photos reduced"),
    ],
)
def test_aligned_fakes_at_chance_are_called_so(lows: tuple[float, float], words: str) -> None:
    """The sentence says what the detector has not learnt, geometry by geometry."""
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


def test_patches_start_where_pairs_differ() -> None:
    """Fakes with one cosine pattern added: the first filter answers to that pattern alone."""
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
    """Grey 2 in 8 px patches: the constant pattern has 8 * 2 = 16, so ln 256; others nothing."""
    energies = log_energies(torch.full((1, 3, 16, 16), 2.0), 8)
    assert energies.shape == (1, 192)
    assert energies[0, 0].item() == pytest.approx(np.log(256), abs=1e-3)
    assert energies[0, 1:64].max().item() == pytest.approx(np.log(1e-4), abs=0.1)


def test_worth_is_the_mean_over_kinds(folders: Path) -> None:
    """With one kind only it is that kind's area, as the table has it; with none it is 0."""
    model = build_vit(image_px=64, patch_px=16, width=16, layers=1, heads=1)
    pictures = find_pictures([folders / "real"], [folders / "fake"], hold_out=("b", "y"))
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


def test_twins_of_a_reduced_photo(tmp_path: Path) -> None:
    """200 x 120 to a short edge of 60 is 100 x 60; both sides have that size, and their own cache.

    A photo that is smaller already is not enlarged.
    """
    path = tmp_path / "p.jpg"
    photo(1, size=(200, 120)).save(path, quality=83)
    picture = Picture(path=path, source="s", generator="s", is_fake=False, part=Part.TRAIN)
    autoencoder = load_autoencoder(autoencoder_folder(tmp_path / "autoencoder"))
    sizes = []
    for short_px in (60, 500):
        (twin,) = make_twins([picture], autoencoder, tmp_path / "cache", short_px=short_px)
        sides = [Image.open(io.BytesIO(raw)) for raw in (photo_side(twin), twin.raw)]
        sizes.append({side.size for side in sides})
        assert isinstance(sides[0], JpegImagePlugin.JpegImageFile)
        assert isinstance(sides[1], JpegImagePlugin.JpegImageFile)
        assert sides[0].quantization == sides[1].quantization
    assert sizes == [{(100, 60)}, {(200, 120)}]
    (twin,) = make_twins([picture], autoencoder, tmp_path / "cache", window_px=48, short_px=60)
    assert twin.window == (16, 0, 64, 48)


def test_a_part_of_a_picture_is_scaled_as_the_whole() -> None:
    """Half of a picture whose short edge is 146: the scoring scale for 64 px is 73 / 146 = 0.5.

    A stripe pattern two pixels wide then averages to grey; on its own scale it would stay.
    """
    stripes = np.zeros((73, 73, 3), np.uint8)
    stripes[:, ::2] = 255
    image = Image.fromarray(stripes)
    spreads = {}
    for of_short_px in (146, 73):
        views = [
            random_view(
                image, 32, 64, np.random.default_rng(seed), strength=0.0, of_short_px=of_short_px
            )
            for seed in range(20)
        ]
        spreads[of_short_px] = float(np.median([view.std() for view in views]))
    assert spreads[146] < 40
    assert spreads[73] > 120
