"""What a training of the embedded detector is asked for, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .evaluation import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniSettings:
    """Where the pictures are, how long to train, and the shape of the model."""

    real: tuple[Path, ...]
    fake: tuple[Path, ...]
    out: Path
    manifests: tuple[Path, ...] = ()
    autoencoders: tuple[Path, ...] = ()
    """Diffusers folders; empty: one is fitted on the training photos in a fifth of the time."""
    unseen_autoencoders: tuple[Path, ...] = ()
    """Used for held-out figures only."""
    hold_out: tuple[str, ...] = ()
    """Sources or generators that nothing is learnt from; `*` matches any characters."""
    validation_share: float = 0.15
    minutes: float = 30.0
    """Of training; pairs that are not in `cache_dir` yet are made before the clock starts."""
    max_steps: int | None = None
    seed: int = 0
    cache_dir: Path | None = None
    """Keeps reconstructed photos between trainings; default: a folder beside `out`."""
    window_px: int = 448
    """Side of the square of a training photo that is reconstructed."""
    reduced_px: int = 440
    """Each photo is reconstructed twice: at its own size, where scoring's reduction averages the
    trace away, and reduced to this short edge first, where scoring sees all of it."""
    paired_share: float = 0.25
    """Share of the time, at the start, in which nine tenths of a batch are pairs."""
    image_px: int = 384
    small_px: int = 128
    small_share: float = 0.7
    """Share of the time at the small side."""
    clean_share: float = 0.4
    """Share of the time over which re-encoding and resizing grow from none to all."""
    patch_px: int = 16
    width: int = 192
    layers: int = 6
    heads: int = 3
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    notes: str = ""
    """A paragraph for the card: where autoencoders and pictures came from."""
    n_checks: int = 2
    """Validations during the part at the full side; the best one is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniResult:
    """What a training left behind."""

    out: Path
    weights_sha256: str
    n_parameters: int
    steps: int
    seconds: float
    images_per_second: float
    """Forward passes in batches of eight at the full side, with `n_threads`."""
    n_threads: int
    losses: tuple[float, ...]
    """Training loss, the mean of every ten steps."""
    validation: Evaluation
    held_out: Evaluation
