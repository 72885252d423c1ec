"""Fit a small latent autoencoder on photos, in minutes to an hour on a CPU.

In minutes it does not paint well, yet leaves a decoder's trace that differs from those of
published weights, which is what a detector that must not know one decoder only needs. In an hour
it gives photos back that a person recognises, blurred and without rare colours.
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
from ..autoencoder import Autoencoder, load_autoencoder
from ..photos import read_photo
from .fitting import averaged, share_done

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """How to fit an autoencoder; two sets of widths or strides leave two kinds of traces."""

    kind: Literal["tiny", "kl"] = "tiny"
    """AutoencoderTiny has no normalisation: in minutes on small crops it gets further, and what it
    learns there holds on whole pictures. AutoencoderKL is what large generators have."""
    minutes: float = 10.0
    max_steps: int | None = None
    widths: tuple[int, ...] = (32, 32, 32)
    """Channels per resolution, all alike for `tiny`; each further one halves the sides again."""
    latent_channels: int = 12
    crop_px: int = 64
    batch: int = 8
    growth: tuple[tuple[float, int], ...] = ((2 / 3, 2),)
    """From which share of the time on crops are how many times the side, and a batch as many
    times the square fewer. Normalisation over a whole picture differs from that over a crop."""
    mid_attention: bool = False
    """Attention at the coarsest level, as the large generators have; `kl` only."""
    average_steps: int = 0
    """Keep the weights' running mean over about as many steps instead of the last ones."""
    learning_rate: float = 1e-3
    long_edges_px: tuple[int, ...] = ()
    """Cut from the photos reduced to these long edges too, where a crop holds more detail."""
    colours: bool = False
    """Swap channels and deepen colours in half the crops, so that rare colours are seen too."""
    start: Path | None = None
    """Go on from this fitted autoencoder, whose shape must be the same."""
    seed: int = 0


def fit_autoencoder(
    photos: Sequence[Path],
    out: Path,
    *,
    settings: FitSettings | None = None,
    on_progress: Progress = lambda _line: None,
) -> Autoencoder:
    """A small autoencoder fitted on crops of these photos, saved as a diffusers folder at `out`.

    The loss is L1 on pixels and on their differences (edges), with a faint pull of the latents
    to zero; the learning rate falls to nothing at the end of the given minutes.

    Raises:
        SynthError: no photos, or none as large as the crop; widths that differ, for `tiny`.
    """
    settings = settings or FitSettings()
    arrays = [array for path in photos for array in _read_rgb(path, settings.long_edges_px)]
    arrays = [array for array in arrays if min(array.shape[:2]) >= settings.crop_px]
    if not arrays:
        raise SynthError(
            f"no photo of at least {settings.crop_px} px a side among {len(photos)}; "
            "name a folder with photos or lower crop_px"
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
        # The middle of the posterior, not a draw: in minutes of fitting its noise costs decibels.
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
    """Write down the shift and scale that bring latents to mean 0 and standard deviation 1."""
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
            raise SynthError(f"widths {widths} differ; a tiny autoencoder has one width, or use kl")
        tiny = AutoencoderTiny(
            encoder_block_out_channels=widths,
            decoder_block_out_channels=widths,
            num_encoder_blocks=(1,) * levels,
            num_decoder_blocks=(1,) * levels,
            latent_channels=settings.latent_channels,
        )
        # PyTorch's own start shrinks the signal at each of the many convolutions without a skip.
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
    """A batch of crops, float32 in [-1, 1], shape (n, 3, side, side); half of them mirrored."""
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
    """Channels in another order, colours up to twice as deep."""
    rgb = rgb_u8_hwc[..., rng.permutation(3)].astype(np.float32)
    grey = rgb.mean(axis=-1, keepdims=True)
    deeper: NDArray[np.float32] = grey + (rgb - grey) * rng.uniform(1.0, 2.0)
    return deeper.clip(0, 255).astype(np.uint8)


def _pixel_and_edge_loss(back: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    off = back - pixels
    across, down = off.diff(dim=-1).abs().mean(), off.diff(dim=-2).abs().mean()
    return off.abs().mean() + 0.5 * (across + down)


def _read_rgb(path: Path, long_edges_px: tuple[int, ...]) -> list[NDArray[np.uint8]]:
    """A photo as it is, then reduced to each of the long edges."""
    rgb = read_photo(path)
    reduced = [rgb.copy() for _ in long_edges_px]
    for picture, long_px in zip(reduced, long_edges_px, strict=True):
        picture.thumbnail((long_px, long_px), Image.Resampling.LANCZOS)
    return [np.asarray(picture) for picture in (rgb, *reduced)]
