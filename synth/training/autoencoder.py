"""Training of a small latent autoencoder on photos, in minutes to an hour on a CPU.

A few minutes give poor images, but a decoder trace unlike that of published weights; training data
with several such traces keeps a detector from learning only one. An hour gives recognisable
photos, blurred and without rare colours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from ...data.errors import SynthError
from ...data.text.wording import counted
from ..autoencoder import Autoencoder, load_autoencoder
from ..photos import read_photo
from .fitting import averaged, share_done

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """Settings of the training of an autoencoder; other widths or strides give other traces."""

    kind: Literal["tiny", "kl"] = "tiny"
    """Class of the autoencoder. AutoencoderTiny has no normalisation: it learns faster from small
    crops, and the result holds on whole images. AutoencoderKL is the class of large generators."""
    minutes: float = 10.0
    """Training time, in minutes."""
    max_steps: int | None = None
    """Number of steps at most; None: limited by the time alone."""
    widths: tuple[int, ...] = (32, 32, 32)
    """Channels per resolution, all equal for `tiny`; each one after the first halves the sides."""
    latent_channels: int = 12
    """Channels of the latents."""
    crop_px: int = 64
    """Side of the square crops at the start, in pixels."""
    batch: int = 8
    """Number of crops per step at the start."""
    growth: tuple[tuple[float, int], ...] = ((2 / 3, 2),)
    """Pairs of a share of the training in [0, 1) and a factor k: after that share, crops have k
    times the side and batches 1/k**2 of the crops, since normalisation over a whole image differs
    from normalisation over a small crop."""
    mid_attention: bool = False
    """Whether the coarsest level has attention, as in large generators; `kl` only."""
    average_steps: int = 0
    """Number of steps of a running mean of the weights, which is saved; 0: the last weights."""
    learning_rate: float = 1e-3
    """Learning rate of AdamW at its peak."""
    long_edges_px: tuple[int, ...] = ()
    """Long edges in pixels to which photos are also reduced, so that a crop holds more detail."""
    colours: bool = False
    """Whether channels are swapped and saturation raised in half of the crops, for rare colours."""
    start: Path | None = None
    """Folder of a trained autoencoder of the same shape to start from; None: random weights."""
    seed: int = 0
    """Seed of the weights and the crops."""


def fit_autoencoder(
    photos: Sequence[Path],
    out: Path,
    *,
    settings: FitSettings | None = None,
    on_progress: Progress = lambda _line: None,
) -> Autoencoder:
    """Train a small autoencoder on crops of photos and save it as a diffusers folder.

    The loss is L1 on pixels and on differences of neighbouring pixels (edges), plus 1e-4 times the
    mean square of the latents. The learning rate decays to nearly zero at the end of the training.

    Args:
        photos: Paths of the photos.
        out: Folder for the autoencoder.
        settings: Settings of the training; None: the defaults.
        on_progress: Callback that receives each progress message.

    Raises:
        InputError: A photo cannot be decoded.
        SynthError: No photo is as large as the crop, widths differ for `tiny`, or `start` cannot
            be loaded.
    """
    settings = settings or FitSettings()
    arrays = [array for path in photos for array in _read_rgb(path, settings.long_edges_px)]
    arrays = [array for array in arrays if min(array.shape[:2]) >= settings.crop_px]
    if not arrays:
        raise SynthError(
            f"none of {counted(len(photos), 'photo')} has sides of at least {settings.crop_px} px;"
            " give a folder with larger photos or lower crop_px"
        )
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    module = _unfitted(settings)
    if settings.start is not None:
        module.load_state_dict(load_autoencoder(settings.start).module.state_dict())
    mean = averaged(module, settings.average_steps)
    optimizer = torch.optim.AdamW(module.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
    started, step = time.monotonic(), 0
    while (
        done := share_done(settings.minutes, settings.max_steps, started_s=started, step=step)
    ) < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min((step + 1) / 50, 1.0 - done**2 + 1e-3)
        pixels = _crops(arrays, settings, rng, done)
        coded = module.encode(pixels)
        # The mode of the posterior, not a sample: in a short training its noise costs decibels.
        latents = coded.latents if settings.kind == "tiny" else coded.latent_dist.mode()
        back = module.decode(latents).sample
        loss = _pixel_and_edge_loss(back, pixels) + 1e-4 * latents.square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(module)
        step += 1
        if step % 100 == 0:
            on_progress(f"autoencoder step {step}: loss {loss.item():.4f}, {done:.0%} of the time")
    fitted: Any = mean.module
    if settings.kind == "kl":
        _state_latent_scale(fitted, arrays, settings, rng)
    fitted.to(memory_format=torch.contiguous_format).save_pretrained(out, safe_serialization=True)
    return load_autoencoder(out)


def _state_latent_scale(
    module: AutoencoderKL,
    arrays: Sequence[NDArray[np.uint8]],
    settings: FitSettings,
    rng: np.random.Generator,
) -> None:
    """Store the shift and scale that give latents mean 0 and standard deviation 1."""
    with torch.inference_mode():
        drawn = [_crops(arrays, settings, rng, 0.0) for _ in range(16)]
        latents = torch.cat([module.encode(crops).latent_dist.mode() for crops in drawn])
    module.register_to_config(
        shift_factor=float(latents.mean()), scaling_factor=1.0 / max(float(latents.std()), 1e-6)
    )


def _unfitted(settings: FitSettings) -> AutoencoderKL | AutoencoderTiny:
    from diffusers import AutoencoderKL, AutoencoderTiny

    widths, levels = settings.widths, len(settings.widths)
    if settings.kind == "tiny":
        if len(set(widths)) > 1:
            raise SynthError(
                f"widths = {widths}; allowed for kind tiny: equal widths. Use kind kl for others"
            )
        tiny = AutoencoderTiny(
            encoder_block_out_channels=widths,
            decoder_block_out_channels=widths,
            num_encoder_blocks=(1,) * levels,
            num_decoder_blocks=(1,) * levels,
            latent_channels=settings.latent_channels,
        )
        # PyTorch's default initialisation shrinks the signal at each convolution without a skip.
        for layer in (*tiny.encoder.layers, *tiny.decoder.layers):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        return tiny.to(memory_format=torch.channels_last)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=settings.latent_channels,
        norm_num_groups=8,
        mid_block_add_attention=settings.mid_attention,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
    ).to(memory_format=torch.channels_last)


def _crops(
    arrays: Sequence[NDArray[np.uint8]],
    settings: FitSettings,
    rng: np.random.Generator,
    done: float,
) -> torch.Tensor:
    """Draw a batch of crops, float32 in [-1, 1], shape (n, 3, side, side); half are mirrored."""
    smallest = min(min(array.shape[:2]) for array in arrays)
    factor = max([1, *(times for since, times in settings.growth if done > since)])
    side = min(settings.crop_px * factor, smallest)
    side -= side % 2 ** (len(settings.widths) - 1)
    n_crops, crops = max(settings.batch // factor**2, 1), []
    for index in rng.integers(len(arrays), size=n_crops):
        array = arrays[index]
        top = int(rng.integers(array.shape[0] - side + 1))
        left = int(rng.integers(array.shape[1] - side + 1))
        crop = array[top : top + side, left : left + side]
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        crops.append(_recoloured(crop, rng) if settings.colours and rng.random() < 0.5 else crop)
    stacked = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    return stacked.contiguous(memory_format=torch.channels_last)


def _recoloured(rgb_u8_hwc: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shuffle the channels and scale the saturation by a factor in [1, 2)."""
    rgb = rgb_u8_hwc[..., rng.permutation(3)].astype(np.float32)
    grey = rgb.mean(axis=-1, keepdims=True)
    deeper: NDArray[np.float32] = grey + (rgb - grey) * rng.uniform(1.0, 2.0)
    return deeper.clip(0, 255).astype(np.uint8)


def _pixel_and_edge_loss(back: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    off = back - pixels
    across, down = off.diff(dim=-1).abs().mean(), off.diff(dim=-2).abs().mean()
    return off.abs().mean() + 0.5 * (across + down)


def _read_rgb(path: Path, long_edges_px: tuple[int, ...]) -> list[NDArray[np.uint8]]:
    """Read a photo at its own size and reduced to each of the long edges."""
    rgb = read_photo(path)
    reduced = [rgb.copy() for _ in long_edges_px]
    for image, long_px in zip(reduced, long_edges_px, strict=True):
        image.thumbnail((long_px, long_px), Image.Resampling.LANCZOS)
    return [np.asarray(image) for image in (rgb, *reduced)]
