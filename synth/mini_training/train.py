"""Joint training of a small pipeline's transformer and text encoders on latents."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...data.errors import InputError
from ...data.text.wording import counted
from ..generators.attention import repeated_last_token
from ..prompts import read_prompts
from ..training.curves import draw_losses
from ..training.fitting import averaged, share_done
from ..training.flow_matching import draw_times, noised, velocity_loss
from .captions import caption, vocabulary
from .model import Shape, build_pipeline, make_tokenizer
from .squares import Squares, cut_squares, latents_of

T5_TOKENS = 256
SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniSettings:
    """Settings of the training of transformer and text encoders."""

    photos: tuple[Path, ...]
    """Folders of training photos."""
    vae: Path
    """Folder of a trained AutoencoderKL (see `training.autoencoder`)."""
    texts: Path
    """File of prompts for the tokenizer's vocabulary."""
    out: Path
    """Folder for the pipeline."""
    minutes: float = 20.0
    """Training time, in minutes."""
    max_steps: int | None = None
    """Number of steps at most; None: limited by the time alone."""
    sides_px: tuple[int, ...] = (64, 96, 128)
    """Sides of the training images, in pixels; each step draws one."""
    squares_each: int = 150
    """Number of training images per caption, at most."""
    batch: int = 64
    """Number of images per step."""
    learning_rate: float = 1.5e-3
    """Learning rate of AdamW at its peak."""
    average_steps: int = 300
    """Number of steps of the weights' running mean, which is saved; 0: the last weights."""
    seed: int = 0
    """Seed of the training."""
    shape: Shape = field(default_factory=Shape)
    """Widths and depths of the pipeline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniResult:
    """The result of the training of transformer and text encoders."""

    out: Path
    """Folder of the pipeline."""
    steps: int
    """Number of steps."""
    seconds: float
    """Training time, in seconds."""
    losses: tuple[float, ...]
    """Loss of each step."""
    squares: Squares
    """Training images with their words."""


class _Trained(nn.Module):
    """The three trained networks as one module."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__()
        self.transformer = pipeline.transformer
        self.first, self.second = pipeline.text_encoder, pipeline.text_encoder_2

    def forward(
        self, tokens: torch.Tensor, rows: torch.Tensor, latents: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Predict velocities.

        Args:
            tokens: Token ids of the distinct captions, shape (K, T).
            rows: Index of each image's caption in `tokens`, shape (N,).
            latents: Noised latents, shape (N, C, H, W).
            sigma: Times in (0, 1), shape (N,).
        """
        parts = [
            encoder(tokens, output_hidden_states=True) for encoder in (self.first, self.second)
        ]
        # As in the pipeline: the penultimate layer, and the projected pooled output.
        embeds = torch.cat([part.hidden_states[-2] for part in parts], dim=-1)
        pooled = torch.cat([part.text_embeds for part in parts], dim=-1)
        silent = embeds.new_zeros(len(embeds), 1, embeds.shape[-1])
        embeds = torch.cat([embeds, silent], dim=1)
        out: torch.Tensor = self.transformer(
            hidden_states=latents,
            timestep=sigma * 1000,
            encoder_hidden_states=embeds[rows],
            pooled_projections=pooled[rows],
        ).sample
        return out


def train_mini_sd3(
    settings: MiniSettings, *, on_progress: Progress = lambda _line: None
) -> MiniResult:
    """Train a small pipeline and save it in a folder that plain diffusers loads.

    Args:
        settings: Settings of the training.
        on_progress: Callback that receives each progress message.

    Raises:
        InputError: There are no photos or no texts, or a file cannot be read.
    """
    from diffusers import AutoencoderKL

    photos = find_photos(settings.photos)
    squares = cut_squares(
        photos, n_each=settings.squares_each, side_px=max(settings.sides_px), seed=settings.seed
    )
    on_progress(f"{counted(len(squares.words), 'square')} of {counted(len(photos), 'photo')}")
    vae = AutoencoderKL.from_pretrained(settings.vae, use_safetensors=True).eval()
    latents = {side: latents_of(squares.rgb_u8_nhwc, vae, side) for side in settings.sides_px}
    torch.manual_seed(settings.seed)
    texts = [row.prompt for row in read_prompts(settings.texts)] + vocabulary() * 20
    pipeline = build_pipeline(vae, make_tokenizer(texts, settings.shape), settings.shape)
    started = time.monotonic()
    with repeated_last_token([pipeline.transformer], T5_TOKENS):
        losses = _fit(pipeline, squares, latents, settings, on_progress)
    seconds = time.monotonic() - started
    pipeline.save_pretrained(settings.out, safe_serialization=True)
    draw_losses(losses, settings.out / "loss.svg", title="small pipeline: flow-matching loss")
    return MiniResult(
        out=settings.out,
        steps=len(losses),
        seconds=seconds,
        losses=tuple(losses),
        squares=squares,
    )


def find_photos(folders: Sequence[Path]) -> list[Path]:
    """Find the photos below folders, in name order.

    Raises:
        InputError: There are none.
    """
    photos = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    if not photos:
        raise InputError(
            f"there are no photos ({', '.join(sorted(SUFFIXES))}) below "
            f"{', '.join(map(str, folders))}; give folders of photos"
        )
    return photos


def _fit(
    pipeline: Any,
    squares: Squares,
    latents: dict[int, torch.Tensor],
    settings: MiniSettings,
    on_progress: Progress,
) -> list[float]:
    trained = _Trained(pipeline).train()
    mean = averaged(trained, settings.average_steps)
    optimizer = torch.optim.AdamW(
        trained.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    rng = np.random.default_rng(settings.seed)
    draws = torch.Generator().manual_seed(settings.seed)
    shift = float(pipeline.scheduler.config.shift)
    started, losses = time.monotonic(), list[float]()
    while (
        done := share_done(
            settings.minutes, settings.max_steps, started_s=started, step=len(losses)
        )
    ) < 1:
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min((len(losses) + 1) / 100, 1.0 - done + 1e-3)
        side = settings.sides_px[int(rng.integers(len(settings.sides_px)))]
        picks = rng.integers(0, len(squares.words), settings.batch)
        captions = [partial_caption(squares.words[index], rng) for index in picks]
        distinct = list(dict.fromkeys(captions))
        tokens = pipeline.tokenizer(
            distinct, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        rows = torch.tensor([distinct.index(words) for words in captions])
        clean = latents[side][torch.from_numpy(picks)]
        noise = torch.randn(clean.shape, generator=draws)
        sigma = draw_times(settings.batch, draws, shift=shift)
        predicted = trained(tokens, rows, noised(clean, noise, sigma), sigma)
        loss = velocity_loss(predicted, clean, noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(trained)
        losses.append(loss.item())
        if len(losses) % 100 == 0:
            recent = sum(losses[-100:]) / 100
            on_progress(f"step {len(losses)}: loss {recent:.4f}, {done:.0%} of the time")
    trained.load_state_dict(mean.module.state_dict())
    trained.eval()
    return losses


def partial_caption(words: tuple[str, ...], rng: np.random.Generator) -> str:
    """Return the caption with each word dropped at random; one in ten is empty.

    Args:
        words: Words for brightness, colour and texture.
        rng: Random generator.
    """
    if rng.random() < 0.1:
        return ""
    return caption(tuple(word for word in words if rng.random() < 0.75))
