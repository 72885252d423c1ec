"""Autoencoders reconstruct images, and aligned fakes keep everything else of the photo."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image, JpegImagePlugin
from safetensors.torch import load_file, save_file

from assay.data.errors import SynthError
from assay.synth.autoencoder import WEIGHTS_NAME, Autoencoder, load_autoencoder
from assay.synth.reconstruct import aligned_fake, encoding_of
from assay.synth.training.autoencoder import FitSettings, fit_autoencoder


def photo(width: int = 97, height: int = 75, seed: int = 0) -> Image.Image:
    """Draw smooth colours with some grain, at a size that no stride divides."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-8, 9, (height, width, 3))
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    options.pop("format", None)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(raw: bytes) -> Image.Image:
    return Image.open(io.BytesIO(raw))


def tiny_folder(folder: Path, seed: int = 0) -> Path:
    """Save a diffusers folder with a random autoencoder of 4 px stride."""
    torch.manual_seed(seed)
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    ).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture
def tiny(tmp_path: Path) -> Autoencoder:
    return load_autoencoder(tiny_folder(tmp_path / "tiny"))


@pytest.mark.parametrize("size", [(97, 75), (64, 64), (3, 200)])
def test_any_size_comes_back_at_that_size(tiny: Autoencoder, size: tuple[int, int]) -> None:
    """Sides that the stride does not divide are padded and cropped again."""
    pixels = np.asarray(photo(*size))
    assert tiny.stride_px == 4
    assert tiny.reconstruct(pixels).shape == pixels.shape


def test_tiles_give_what_one_pass_gives(tiny: Autoencoder) -> None:
    """Tiles change nothing away from the seams, and little on them."""
    pixels = np.asarray(photo(300, 220))
    whole = tiny.reconstruct(pixels).astype(int)
    tiled = tiny.reconstruct(pixels, tile_px=128, overlap_px=64).astype(int)
    assert np.abs(whole - tiled).max() <= 2


def test_fit_learns_and_loads_again(tmp_path: Path) -> None:
    """More steps bring an autoencoder closer to an unseen photo than fewer steps do."""
    paths = []
    for seed in range(4):
        paths.append(tmp_path / f"{seed}.png")
        photo(96, 96, seed).save(paths[-1])
    unseen = np.asarray(photo(96, 96, seed=9))
    errors = []
    for steps in (1, 20):
        settings = FitSettings(
            minutes=5, max_steps=steps, widths=(16, 16), crop_px=32, batch=4, learning_rate=5e-3
        )
        fitted = fit_autoencoder(paths, tmp_path / f"fit-{steps}", settings=settings)
        errors.append(float(np.abs(fitted.reconstruct(unseen).astype(int) - unseen).mean()))
    assert fitted.stride_px == 2
    assert errors[1] < 0.7 * errors[0]
    again = load_autoencoder(tmp_path / "fit-20")
    assert again.weights_sha256 == fitted.weights_sha256
    assert (again.reconstruct(unseen) == fitted.reconstruct(unseen)).all()


def test_an_autoencoder_kl_can_be_fitted_too(tmp_path: Path) -> None:
    """It is the class of large generators, with growing widths."""
    photo(96, 96).save(tmp_path / "p.png")
    settings = FitSettings(kind="kl", max_steps=3, widths=(8, 16, 16), crop_px=32, batch=2)
    fitted = fit_autoencoder([tmp_path / "p.png"], tmp_path / "kl", settings=settings)
    assert type(fitted.module).__name__ == "AutoencoderKL"
    assert fitted.stride_px == 4
    assert fitted.reconstruct(np.asarray(photo(50, 41))).shape == (41, 50, 3)


def test_a_tiny_autoencoder_has_one_width(tmp_path: Path) -> None:
    """The error comes before the training starts."""
    photo(96, 96).save(tmp_path / "p.png")
    with pytest.raises(
        SynthError, match=r"widths = \(8, 16\); allowed for kind tiny: equal widths"
    ):
        fit_autoencoder(
            [tmp_path / "p.png"], tmp_path / "out", settings=FitSettings(widths=(8, 16))
        )


def test_fit_needs_photos_as_large_as_its_crop(tmp_path: Path) -> None:
    """The message names the crop and the number of photos."""
    photo(20, 20).save(tmp_path / "small.png")
    with pytest.raises(SynthError, match="none of 1 photo has sides of at least 64 px"):
        fit_autoencoder([tmp_path / "small.png"], tmp_path / "out")


def test_pooled_branches_are_used(tmp_path: Path) -> None:
    """Blocks with a pooled branch load, and zeroing the branch changes the image."""
    folder = tiny_folder(tmp_path / "pooled")
    tensors = load_file(folder / WEIGHTS_NAME)
    generator = torch.Generator().manual_seed(0)
    for name, shape in {
        "0.weight": (16, 8, 1, 1),
        "1.weight": (16,),
        "1.bias": (16,),
        "3.weight": (8, 16, 1, 1),
    }.items():
        tensors[f"decoder.layers.2.pool.{name}"] = torch.randn(shape, generator=generator)
    pixels = np.asarray(photo(64, 64))
    pictures = []
    for factor in (1.0, 0.0):
        tensors["decoder.layers.2.pool.3.weight"] *= factor
        save_file(tensors, folder / WEIGHTS_NAME)
        pictures.append(load_autoencoder(folder).reconstruct(pixels))
    plain = load_autoencoder(tiny_folder(tmp_path / "plain")).reconstruct(pixels)
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[1] == plain).all()


def test_tensors_without_a_place_are_refused(tmp_path: Path) -> None:
    """Diffusers would drop them silently, and images would be wrong."""
    folder = tiny_folder(tmp_path / "tiny")
    tensors = load_file(folder / WEIGHTS_NAME)
    save_file(tensors | {"decoder.extra": torch.zeros(1)}, folder / WEIGHTS_NAME)
    with pytest.raises(SynthError, match=r"decoder\.extra"):
        load_autoencoder(folder)


def test_only_safetensors_of_known_classes_load(tmp_path: Path) -> None:
    """A folder with a pickle or another class is refused by name."""
    folder = tiny_folder(tmp_path / "tiny")
    (folder / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(SynthError, match="UNet2DModel; allowed: AutoencoderKL, AutoencoderTiny"):
        load_autoencoder(folder)
    (folder / WEIGHTS_NAME).rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(SynthError, match=WEIGHTS_NAME):
        load_autoencoder(folder)


@pytest.mark.parametrize("quality", [60, 92])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_keeps_its_tables_and_subsampling(
    tiny: Autoencoder, quality: int, subsampling: int
) -> None:
    """The codec does not separate photo and fake."""
    raw = encoded(photo(), "JPEG", quality=quality, subsampling=subsampling)
    fake = aligned_fake(raw, tiny)
    before, after = opened(raw), opened(fake.raw)
    assert isinstance(before, JpegImagePlugin.JpegImageFile)
    assert isinstance(after, JpegImagePlugin.JpegImageFile)
    assert after.quantization == before.quantization
    assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)
    assert after.size == before.size == (fake.width_px, fake.height_px) == (97, 75)
    assert fake.weights_sha256 == tiny.weights_sha256


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_the_format_stays_and_the_fake_says_what_it_is(tiny: Autoencoder, kind: str) -> None:
    """Every format carries the IPTC source type, unless the image stays in memory."""
    raw = encoded(photo(), kind)
    fake = aligned_fake(raw, tiny)
    assert fake.format == opened(fake.raw).format == kind
    assert b"trainedAlgorithmicMedia" in fake.raw
    assert b"trainedAlgorithmicMedia" not in aligned_fake(raw, tiny, is_marked=False).raw


def test_a_grey_photo_and_one_in_cmyk_are_done_in_rgb(tiny: Autoencoder) -> None:
    """Their tables are copied as far as an RGB image uses them."""
    for mode in ("L", "CMYK"):
        fake = aligned_fake(encoded(photo().convert(mode), "JPEG", quality=80), tiny)
        assert opened(fake.raw).convert("RGB").size == (97, 75)


def test_orientation_stays(tiny: Autoencoder) -> None:
    """The fake of a turned photo is shown turned, and no other metadata are copied."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker"
    fake = aligned_fake(encoded(photo(), "JPEG", exif=exif), tiny)
    kept = opened(fake.raw).getexif()
    assert kept[0x0112] == 6
    assert 0x010F not in kept


def test_a_window_is_that_part_only(tiny: Autoencoder) -> None:
    """The fake has the window's size."""
    fake = aligned_fake(encoded(photo(), "PNG"), tiny, window=(16, 32, 80, 64))
    assert (fake.width_px, fake.height_px) == (64, 32)


def test_a_photo_can_be_reduced_first(tiny: Autoencoder) -> None:
    """97 x 75 with a short edge of 50 is 65 x 50, which the window refers to; none is enlarged."""
    raw = encoded(photo(), "JPEG", quality=90)
    sizes = [
        (f.width_px, f.height_px)
        for f in (
            aligned_fake(raw, tiny, short_px=50),
            aligned_fake(raw, tiny, short_px=50, window=(16, 16, 64, 48)),
            aligned_fake(raw, tiny, short_px=200),
        )
    ]
    assert sizes == [(65, 50), (48, 32), (97, 75)]


def test_psnr_is_against_the_photo(tmp_path: Path) -> None:
    """An autoencoder that adds 5 to every value has 20 log10(255 / 5) = 34.15 dB."""

    class AddFive(Autoencoder):
        def reconstruct(self, rgb_u8_hwc: np.ndarray, **_: int) -> np.ndarray:  # type: ignore[override]
            return rgb_u8_hwc + np.uint8(5)

    plus = AddFive(name="plus", module=torch.nn.Identity(), weights_sha256="0", stride_px=1)
    raw = encoded(Image.new("RGB", (8, 8), (100, 100, 100)), "PNG")
    assert aligned_fake(raw, plus).psnr_db == pytest.approx(34.15, abs=0.01)


def test_what_cannot_be_matched_is_refused(tiny: Autoencoder) -> None:
    """A GIF has a palette that does not fit a reconstruction; broken bytes do not decode."""
    with pytest.raises(SynthError, match="GIF cannot be matched; allowed: JPEG, PNG, WEBP"):
        aligned_fake(encoded(photo(), "GIF"), tiny)
    with pytest.raises(SynthError, match="cannot be decoded"):
        aligned_fake(b"no picture", tiny)


def test_encoding_of_a_photo_is_idempotent() -> None:
    """A second encoding with the same settings has the same tables."""
    first = opened(encoded(photo(), "JPEG", quality=77, subsampling=1))
    second = opened(encoded(photo(seed=1), "JPEG", **encoding_of(first)))
    assert encoding_of(second) == encoding_of(first)
