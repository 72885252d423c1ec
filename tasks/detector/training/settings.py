"""Settings and result of a training of the embedded detector."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .evaluation import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniSettings:
    """Settings of a training: folders of images, duration and shape of the model."""

    real: tuple[Path, ...]
    fake: tuple[Path, ...]
    out: Path
    manifests: tuple[Path, ...] = ()
    autoencoders: tuple[Path, ...] = ()
    """Folders of diffusers autoencoders; empty: one is fitted on the training photos in a fifth of
    `minutes`."""
    unseen_autoencoders: tuple[Path, ...] = ()
    """Folders of autoencoders that only the held-out figures use."""
    hold_out: tuple[str, ...] = ()
    """Sources or generators that are kept out of the training; `*` matches any characters."""
    validation_share: float = 0.15
    minutes: float = 30.0
    """Duration of the training; pairs that `cache_dir` lacks are made before the clock starts."""
    max_steps: int | None = None
    seed: int = 0
    cache_dir: Path | None = None
    """Folder of reconstructed photos, kept between trainings; default: one beside `out`."""
    window_px: int = 448
    """Side of the square of a training photo that is reconstructed."""
    reduced_px: int = 440
    """Short edge to which each photo is reduced before its second reconstruction. Scoring reduces
    the first one, at the photo's own size, and weakens its trace; it sees all of the second's."""
    paired_share: float = 0.25
    """Share of the duration, at the start, in which nine tenths of a batch are pairs."""
    image_px: int = 384
    small_px: int = 128
    small_share: float = 0.7
    """Share of the duration at the small side."""
    clean_share: float = 0.4
    """Share of the duration over which re-encoding and resizing increase from none to full."""
    patch_px: int = 16
    width: int = 192
    layers: int = 6
    heads: int = 3
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    notes: str = ""
    """Paragraph for the card on the origin of autoencoders and images."""
    n_checks: int = 2
    """Number of validations at the full side; the best model is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniResult:
    """Result of a training: its folder, its speed and its figures."""

    out: Path
    weights_sha256: str
    n_parameters: int
    steps: int
    seconds: float
    images_per_second: float
    """Speed of the forward pass in batches of eight at the full side, on `n_threads`."""
    n_threads: int
    losses: tuple[float, ...]
    """Training losses, each the mean of ten steps."""
    validation: Evaluation
    held_out: Evaluation
