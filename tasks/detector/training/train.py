"""Training of the embedded detector `mini` on folders of photos and of AI-generated images.

`images` finds the images and makes the pairs, `fit` trains, `evaluation` measures on the
held-out part, `card` writes the results.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ....data.errors import ConfigError
from ....synth.autoencoder import load_autoencoder
from ....synth.training.autoencoder import FitSettings, fit_autoencoder
from .card import write_card
from .evaluation import evaluate, images_per_second, score
from .fit import fit_detector
from .images import Part, TrainingImage, Twin, find_images, make_twins
from .model import build_vit, set_half
from .settings import MiniResult, MiniSettings

__all__ = ["MiniResult", "MiniSettings", "train_mini"]

Progress = Callable[[str], None]


def train_mini(settings: MiniSettings, *, on_progress: Progress = lambda _line: None) -> MiniResult:
    """Train a detector and write its folder: config, weights, `detector.toml`, card and figures.

    The same seed and number of steps give the same batches; floating-point sums still vary with
    the number of threads and the machine.

    Args:
        settings: Settings of the training; `settings.out` is the folder.
        on_progress: Function that receives one line of progress.

    Raises:
        InputError: A folder is missing, or a class has no image left to train on.
        SynthError: An autoencoder folder does not load.
        ConfigError: A side is no multiple of the patch.
    """
    if settings.image_px % settings.patch_px or settings.small_px % settings.patch_px:
        raise ConfigError(
            f"sides of {settings.small_px} and {settings.image_px} px are not both multiples of "
            f"the patch, {settings.patch_px} px; choose multiples"
        )
    torch.manual_seed(settings.seed)
    images = find_images(
        settings.real,
        settings.fake,
        manifests=settings.manifests,
        hold_out=settings.hold_out,
        validation_share=settings.validation_share,
        seed=settings.seed,
    )
    folders = _autoencoders(images, settings, on_progress)
    learnt = [p for p in images if not p.is_fake and p.part is not Part.HELD_OUT]
    twins = _twins(learnt, folders, settings, on_progress, window_px=settings.window_px)
    model = build_vit(
        image_px=settings.image_px,
        patch_px=settings.patch_px,
        width=settings.width,
        layers=settings.layers,
        heads=settings.heads,
    )
    started = time.monotonic()
    best, losses, steps = fit_detector(
        model, images, twins, settings=settings, on_progress=on_progress
    )
    seconds = time.monotonic() - started
    checked = [p for p in images if p.part is Part.VALIDATION]
    set_half(
        best,
        *(
            score(
                best,
                [p.path.read_bytes() for p in checked if p.is_fake == is_fake],
                side_px=settings.image_px,
            )
            for is_fake in (False, True)
        ),
    )
    held_out_photos = [p for p in images if not p.is_fake and p.part is Part.HELD_OUT]
    folders += settings.unseen_autoencoders
    twins += _twins(held_out_photos, folders, settings, on_progress)
    validation = evaluate(best, images, twins, Part.VALIDATION, side_px=settings.image_px)
    held_out = evaluate(best, images, twins, Part.HELD_OUT, side_px=settings.image_px)
    settings.out.mkdir(parents=True, exist_ok=True)
    best.save_pretrained(settings.out)
    _state_one_logit(settings.out / "config.json")
    weights = settings.out / "model.safetensors"
    result = MiniResult(
        out=settings.out,
        weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        n_parameters=sum(p.numel() for p in best.parameters()),
        steps=steps,
        seconds=seconds,
        images_per_second=images_per_second(best, side_px=settings.image_px),
        n_threads=torch.get_num_threads(),
        losses=tuple(losses),
        validation=validation,
        held_out=held_out,
    )
    write_card(result, settings, images, twins)
    return result


def _autoencoders(
    images: Sequence[TrainingImage], settings: MiniSettings, on_progress: Progress
) -> list[Path]:
    """Return the given autoencoder folders, or the one of an autoencoder fitted on the photos."""
    if settings.autoencoders:
        return list(settings.autoencoders)
    folder = _cache(settings) / "fitted"
    fit = FitSettings(
        minutes=settings.minutes / 5, max_steps=settings.max_steps, seed=settings.seed
    )
    paths = [p.path for p in images if not p.is_fake and p.part is Part.TRAIN]
    fit_autoencoder(paths, folder, settings=fit, on_progress=on_progress)
    return [folder]


def _twins(
    photos: Sequence[TrainingImage],
    folders: Sequence[Path],
    settings: MiniSettings,
    on_progress: Progress,
    *,
    window_px: int | None = None,
) -> list[Twin]:
    """Make the twins of every photo by every autoencoder, at full size and reduced first."""
    twins: list[Twin] = []
    for folder in folders:
        autoencoder = load_autoencoder(folder)
        for short_px in (None, settings.reduced_px):
            twins += make_twins(
                photos,
                autoencoder,
                _cache(settings),
                window_px=window_px,
                short_px=short_px,
                on_progress=on_progress,
            )
    return twins


def _cache(settings: MiniSettings) -> Path:
    return settings.cache_dir or settings.out.parent / f"{settings.out.name}-cache"


def _state_one_logit(path: Path) -> None:
    """Add `num_labels` to the config, which transformers omits and derives from the labels."""
    config = json.loads(path.read_text(encoding="utf-8")) | {"num_labels": 1}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
