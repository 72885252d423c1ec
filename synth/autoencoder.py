"""Latent autoencoders from diffusers folders, and reconstruction of images.

An autoencoder is an encoder from pixels to latents and a decoder back; assay uses the trace that
the decoder leaves (see `reconstruct`). Weights are safetensors only, and every tensor of the file
must fit: diffusers silently drops unknown tensors, and a decoder without them gives wrong images.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..data.errors import SynthError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny
    from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock

WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoencoder:
    """An encoder to latents and a decoder back, with the identity of the weights."""

    name: str
    """Name of the folder or generator."""
    module: nn.Module
    """AutoencoderKL or AutoencoderTiny, in evaluation mode."""
    weights_sha256: str
    """Hash of the weights' file."""
    stride_px: int
    """Pixels of the image per latent cell, along one side."""

    @property
    def autoencoder_id(self) -> str:
        """Name and the first 12 digits of the weights' hash."""
        return f"{self.name}@{self.weights_sha256[:12]}"

    @property
    def device(self) -> torch.device:
        """Device of the weights; images are in main memory before and after."""
        return next(self.module.parameters()).device

    def reconstruct(
        self, rgb_u8_hwc: NDArray[np.uint8], *, tile_px: int = 1024, overlap_px: int = 64
    ) -> NDArray[np.uint8]:
        """Encode and decode an image at its own size.

        Images with a side longer than `tile_px` are processed in tiles with cross-faded overlaps,
        so that memory is bounded by the tile.

        Args:
            rgb_u8_hwc: Image, RGB, shape (H, W, 3).
            tile_px: Side of a tile, in pixels.
            overlap_px: Overlap of neighbouring tiles, in pixels.

        Returns:
            Reconstruction, RGB, shape (H, W, 3).
        """
        height, width = rgb_u8_hwc.shape[:2]
        if max(height, width) <= tile_px:
            return _to_u8(self._pass(rgb_u8_hwc))
        total = np.zeros((height, width, 3), np.float32)
        weight = np.zeros((height, width, 1), np.float32)
        for top, bottom in _spans(height, tile_px, overlap_px, self.stride_px):
            for left, right in _spans(width, tile_px, overlap_px, self.stride_px):
                tile = self._pass(rgb_u8_hwc[top:bottom, left:right])
                fade = _fade(bottom - top, overlap_px)[:, None] * _fade(right - left, overlap_px)
                total[top:bottom, left:right] += tile * fade[..., None]
                weight[top:bottom, left:right] += fade[..., None]
        return _to_u8(total / weight)

    def _pass(self, rgb_u8_hwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run one forward pass, float32 in [-1, 1]; edges are repeated to pad to the stride."""
        height, width = rgb_u8_hwc.shape[:2]
        below, right = -height % self.stride_px, -width % self.stride_px
        padded = np.pad(rgb_u8_hwc, ((0, below), (0, right), (0, 0)), mode="edge")
        pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1.0
        with torch.inference_mode():
            given = pixels.contiguous(memory_format=torch.channels_last).to(self.device)
            back = self.module(given).sample.cpu()
        out: NDArray[np.float32] = back[0].permute(1, 2, 0).float().numpy()
        return out[:height, :width]


def load_autoencoder(folder: Path, *, device: str = "cpu") -> Autoencoder:
    """Load an AutoencoderKL or AutoencoderTiny from a diffusers folder.

    Args:
        folder: Folder of the autoencoder.
        device: Name of the device.

    Raises:
        SynthError: The folder is not an autoencoder, has no safetensors, or its tensors do not
            fit the class exactly.
    """
    from diffusers import AutoencoderKL, AutoencoderTiny

    classes = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
    weights = folder / WEIGHTS_NAME
    if not (folder / "config.json").is_file() or not weights.is_file():
        raise SynthError(
            f"{folder} is not an autoencoder, which has config.json and {WEIGHTS_NAME} (other "
            "weight files are not read); give the folder of one"
        )
    config = AutoencoderKL.load_config(str(folder))
    kind = config.get("_class_name")
    if kind not in classes:
        raise SynthError(f"{folder} is a {kind}; allowed: {', '.join(classes)}")
    if kind == "AutoencoderTiny":
        # The class writes this entry and warns about it when it reads it again.
        config.pop("block_out_channels", None)
    module = classes[kind].from_config(config)
    try:
        tensors = load_file(weights)
        _add_pooled_branches(module, tensors)
        module.load_state_dict(tensors, strict=True)
    except (SafetensorError, RuntimeError, AttributeError, IndexError) as error:
        raise SynthError(f"{weights} does not fit {kind} with this config.json: {error}") from error
    module.to(device)
    return _finished(folder.name, module, hashlib.sha256(weights.read_bytes()).hexdigest())


class _PooledTinyBlock(nn.Module):
    """A tiny block with the normalised 1x1 branch of the TAEF2 weights, which diffusers lacks.

    The group norm covers the whole image, so that a decoder with a small receptive field can set
    its colours.
    """

    def __init__(self, plain: AutoencoderTinyBlock, wide: int) -> None:
        super().__init__()
        self.conv, self.skip, self.fuse = plain.conv, plain.skip, plain.fuse
        channels = plain.conv[0].in_channels
        self.pool = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.GroupNorm(4, wide),
            nn.ReLU(),
            nn.Conv2d(wide, channels, 1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.pool(x)
        out: torch.Tensor = self.fuse(self.conv(x) + self.skip(x))
        return out


def _add_pooled_branches(
    module: AutoencoderKL | AutoencoderTiny, tensors: dict[str, torch.Tensor]
) -> None:
    for key, tensor in tensors.items():
        if key.endswith(".pool.0.weight"):
            side, _, index, *_ = key.split(".")
            layers = getattr(module, side).layers
            layers[int(index)] = _PooledTinyBlock(layers[int(index)], tensor.shape[0])


def _finished(
    name: str, module: AutoencoderKL | AutoencoderTiny, weights_sha256: str
) -> Autoencoder:
    module.eval().requires_grad_(requires_grad=False)
    module.to(memory_format=torch.channels_last)
    widths = module.config.get("encoder_block_out_channels") or module.config.block_out_channels
    return Autoencoder(
        name=name,
        module=module,
        weights_sha256=weights_sha256,
        stride_px=2 ** (len(widths) - 1),
    )


def _spans(length: int, tile: int, overlap: int, stride: int) -> list[tuple[int, int]]:
    """Cover [0, length) with spans of `tile` that overlap and start on the latent grid."""
    if length <= tile:
        return [(0, length)]
    step = max((tile - overlap) // stride * stride, stride)
    starts = range(0, length - overlap, step)
    return [(start, min(start + tile, length)) for start in starts]


def _fade(length: int, overlap: int) -> NDArray[np.float32]:
    ramp = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)) / max(overlap, 1)
    return np.clip(ramp, 0.0, 1.0).astype(np.float32)


def _to_u8(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.clip(np.rint((values + 1.0) * 127.5), 0, 255).astype(np.uint8)
    return rounded
