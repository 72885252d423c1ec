"""Training loop of the embedded detector and its batches.

Half of every batch is photos, half fakes. Most fakes are aligned: the photo itself through an
autoencoder, drawn with its photo and through the same view, so that the pair differs in the
decoder's trace only. The squares are small early on, for speed, and have the full side at the
end.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from .evaluation import photo_side, worth
from .images import Part, TrainingImage, Twin, source_weights
from .model import Average, EnergyHead, tell_patches, whiten_patches
from .settings import MiniSettings
from .views import decode, normalised, random_view

if TYPE_CHECKING:
    from transformers import ViTForImageClassification

Progress = Callable[[str], None]
PREFETCH = 4
PAUSE_S = 15.0
"""Longest time that counts for one step; a longer step was suspended from outside."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Decoded window of a photo, and the same window through an autoencoder."""

    photo: Image.Image
    fake: Image.Image
    of_short_px: int
    """Short edge of the whole photo."""


@dataclass(frozen=True, slots=True)
class _Draw:
    """Composition of the batches in one stage of the training."""

    side_px: int
    size: int
    strength: float
    pairs: float
    """Number of pairs per image of the batch; at 0.5 the batch has pairs only."""


@dataclass(frozen=True, slots=True)
class _Pool:
    """Decoded images and pairs to draw from, with their probabilities."""

    photos: list[Image.Image]
    photo_odds: NDArray[np.float64]
    fakes: list[Image.Image]
    fake_odds: NDArray[np.float64]
    pairs: list[Pair]
    pair_odds: NDArray[np.float64]


def fit_detector(
    model: ViTForImageClassification,
    images: Sequence[TrainingImage],
    twins: Sequence[Twin],
    *,
    settings: MiniSettings,
    on_progress: Progress,
) -> tuple[ViTForImageClassification, list[float], int]:
    """Train the model for `settings.minutes` or `settings.max_steps`, whichever ends first.

    Args:
        model: Model of `build_vit`; it is changed.
        images: Images of all parts.
        twins: Aligned fakes of training and validation photos.
        settings: Settings of the training.
        on_progress: Function that receives one line of progress.

    Returns:
        Averaged model with the best validation, mean loss of every ten steps, number of steps.
    """
    pool = _decode_pool(images, twins)
    rng = np.random.default_rng(settings.seed)
    first = _Draw(settings.small_px, settings.batch * 6, 0.0, pairs=0.5 if pool.pairs else 0.0)
    views, is_fake = _batch(pool, first, settings.image_px, rng)
    sample = normalised(views)
    if pool.pairs:
        tell_patches(model, sample[is_fake == 0.0], sample[is_fake == 1.0])
    else:
        whiten_patches(model, sample, seed=settings.seed)
    # A decoder shows in the energies of spatial frequencies, but so faintly that the class labels
    # alone hardly teach the network to measure them.
    measure = EnergyHead(settings.width, sample, settings.patch_px)
    # An auxiliary head classifies every patch too: its gradient is far denser.
    patch_head = nn.Linear(settings.width, 1)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, object]] = [
        {"params": [*decayed, *patch_head.parameters(), *measure.parameters()]},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
    )
    average = Average(model)
    clock, spent = time.monotonic(), 0.0
    step, done = 0, 0.0

    def now() -> _Draw:
        if done < settings.small_share:
            return _Draw(
                settings.small_px,
                settings.batch,
                strength=min(done / settings.clean_share, 1.0),
                pairs=0.45 if done < settings.paired_share else 0.3,
            )
        return _Draw(settings.image_px, max(settings.batch // 4, 8), 1.0, pairs=0.3)

    best, best_value, checks = copy.deepcopy(model), -1.0, 0
    losses: list[float] = []
    recent: list[float] = []
    model.train()
    for pixels, labels in _batches(pool, settings, now):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _warm_then_cosine(done)
        tokens = model.vit(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state
        loss = _cross_entropy(model.classifier(tokens[:, 0]), labels)
        patch_loss = _cross_entropy(patch_head(tokens[:, 1:]).mean(dim=2), labels)
        energy_loss = measure(tokens[:, 0], pixels)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss + patch_loss + energy_loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model)
        step += 1
        recent.append(loss.item())
        previous, clock = clock, time.monotonic()
        spent += min(clock - previous, PAUSE_S)
        done = max(
            spent / (settings.minutes * 60),
            step / settings.max_steps if settings.max_steps else 0.0,
        )
        if len(recent) == 10:
            losses.append(float(np.mean(recent)))
            recent.clear()
            if len(losses) % 5 == 0:
                on_progress(f"step {step}: loss {losses[-1]:.3f}, {done:.0%} done")
        due = settings.small_share + (1 - settings.small_share) * checks / settings.n_checks
        if done >= min(due, 1.0):
            value = worth(average.model, images, twins, Part.VALIDATION, side_px=settings.image_px)
            on_progress(f"step {step}: validation {value:.3f}")
            if value > best_value:
                best, best_value = copy.deepcopy(average.model), value
            checks += 1
            clock = time.monotonic()
        if done >= 1.0:
            break
    return best.eval(), losses, step


def _decode_pool(images: Sequence[TrainingImage], twins: Sequence[Twin]) -> _Pool:
    photos = [p for p in images if not p.is_fake and p.part is Part.TRAIN]
    fakes = [p for p in images if p.is_fake and p.part is Part.TRAIN]
    paired = [t for t in twins if t.photo.part is Part.TRAIN]
    decoded = {p.path: decode(p.path.read_bytes()) for p in photos}
    return _Pool(
        photos=list(decoded.values()),
        photo_odds=source_weights(photos),
        fakes=[decode(p.path.read_bytes()) for p in fakes],
        fake_odds=source_weights(fakes),
        pairs=[make_pair(decoded[t.photo.path], t) for t in paired],
        pair_odds=source_weights([t.photo for t in paired]) if paired else np.zeros(0),
    )


def make_pair(photo: Image.Image, twin: Twin) -> Pair:
    """Return both images of a twin, decoded, from the decoded whole photo."""
    # Reduced photos are encoded again, as their fakes are, so that only the decoder differs.
    photo_window = decode(photo_side(twin)) if twin.short_px else photo.crop(twin.window)
    fake = decode(twin.raw)
    return Pair(
        photo=photo_window,
        fake=fake,
        of_short_px=min(*photo.size, twin.short_px or photo.width),
    )


def _batch(
    pool: _Pool, draw: _Draw, full_px: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw views (size, side, side, 3) and labels (size,): pairs first, then single images."""
    n_pairs = round(draw.size * draw.pairs) if pool.pairs else 0
    views: list[NDArray[np.uint8]] = []
    labels: list[float] = []
    for index in rng.choice(len(pool.pairs), size=n_pairs, p=pool.pair_odds) if n_pairs else ():
        seed = int(rng.integers(2**63))
        pair = pool.pairs[index]
        for label, image in enumerate((pair.photo, pair.fake)):
            twin_rng = np.random.default_rng(seed)
            views.append(
                random_view(
                    image,
                    draw.side_px,
                    full_px,
                    twin_rng,
                    strength=draw.strength,
                    of_short_px=pair.of_short_px,
                )
            )
            labels.append(float(label))
    singles = ((0.0, pool.photos, pool.photo_odds), (1.0, pool.fakes, pool.fake_odds))
    for truth, images, odds in singles:
        for index in rng.choice(len(images), size=draw.size // 2 - n_pairs, p=odds):
            views.append(
                random_view(images[index], draw.side_px, full_px, rng, strength=draw.strength)
            )
            labels.append(truth)
    return np.stack(views), np.array(labels, np.float32)


def _batches(
    pool: _Pool, settings: MiniSettings, now: Callable[[], _Draw]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches without end, drawn ahead in one thread (Pillow releases the lock)."""
    seeds = np.random.SeedSequence(settings.seed)

    def drawn(seed: np.random.SeedSequence, draw: _Draw) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(seed)
        views, labels = _batch(pool, draw, settings.image_px, rng)
        return normalised(views), torch.from_numpy(labels)

    with ThreadPoolExecutor(1) as thread:
        waiting: list[Future[tuple[torch.Tensor, torch.Tensor]]] = []
        while True:
            while len(waiting) < PREFETCH:
                waiting.append(thread.submit(drawn, seeds.spawn(1)[0], now()))
            yield waiting.pop(0).result()


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of logits (N, M) against labels (N,)."""
    return nn.functional.binary_cross_entropy_with_logits(logits, labels[:, None].expand_as(logits))


def _warm_then_cosine(done: float) -> float:
    return min(done / 0.03 + 0.01, 1.0, 0.5 * (1 + float(np.cos(np.pi * min(done, 1.0)))) + 0.01)
