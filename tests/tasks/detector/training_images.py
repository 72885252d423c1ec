"""Photos, fakes and an autoencoder, small enough to train on in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image


def photo(seed: int, *, is_fake: bool = False, size: tuple[int, int] = (112, 96)) -> Image.Image:
    """Return an image of smooth colours; a fake has a faint grid, as crude upsampling leaves it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 216, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-3, 4, smooth.shape)
    rows, columns = np.indices(smooth.shape[:2])
    grid = 20 * ((rows + columns) % 2)[..., None] if is_fake else 0
    return Image.fromarray(np.clip(smooth + grain + grid, 0, 255).astype(np.uint8))


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
