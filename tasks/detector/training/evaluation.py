"""Evaluation of the embedded detector on images outside its training, beside a control.

Every figure is an area under the ROC curve with a bootstrap interval. The control is a classifier
of sizes and codec only, without pixels: where it comes near the detector, the detector's figure
says little about image content.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ....data.images.decode import PLAIN, to_rgb
from ....data.text.wording import counted
from ....synth.reconstruct import encoding_of, reduced
from ..inputs.preprocess import preprocess
from ..inputs.profiles import DEFAULT_PROFILE, profile_for
from .images import Part, TrainingImage, Twin

N_RESAMPLES = 2000
Control = Callable[[Sequence[bytes]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Auc:
    """Probability that a fake scores above a photo, with a 95 % interval."""

    auc: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.auc:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Row of the table: one kind of fake against photos."""

    against: str
    kind: str
    """Kind of the fakes: `generator` or `aligned`."""
    n_real: int
    n_fake: int
    model: Auc
    control: Auc
    tpr_at_half: float
    short_px: int | None = None
    """Short edge to which the photos were reduced before the autoencoder, for aligned fakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures of one part of the split."""

    part: str
    rows: tuple[Row, ...]
    fpr_at_half: dict[str, float]
    """Share of photos with a probability above 0.5, by source and under "all"."""
    n_real: dict[str, int]

    def write(self, path: Path) -> None:
        """Write the figures as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return asdict(self)


def score(
    model: torch.nn.Module, raws: Sequence[bytes], *, side_px: int, batch: int = 8
) -> NDArray[np.float32]:
    """Return the logits (N,) of encoded images, preprocessed as in scoring.

    Args:
        model: Model with transformers' interface.
        raws: Encoded bytes of the images.
        side_px: Side of the model's input.
        batch: Number of images per pass.

    Raises:
        UnreadableImage: An image cannot be decoded.
    """
    profile = profile_for(DEFAULT_PROFILE, side_px)
    logits: list[NDArray[np.float32]] = []
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(raws), batch):
            pixels = [preprocess(raw, profile) for raw in raws[start : start + batch]]
            out = model(pixel_values=torch.from_numpy(np.stack(pixels)))
            logits.append(out.logits[:, 0].float().numpy())
    model.train(was_training)
    return np.concatenate(logits) if logits else np.zeros(0, np.float32)


def images_per_second(model: torch.nn.Module, *, side_px: int, batch: int = 8) -> float:
    """Measure the speed of the forward pass: the median of five batches, on PyTorch's threads."""
    pixels = torch.zeros(batch, 3, side_px, side_px)
    seconds: list[float] = []
    with torch.inference_mode():
        for _ in range(6):
            started = time.perf_counter()
            model(pixel_values=pixels)
            seconds.append(time.perf_counter() - started)
    # The first batch includes one-time set-up.
    return batch / float(np.median(seconds[1:]))


def auc_with_interval(
    real: NDArray[np.floating[Any]],
    fake: NDArray[np.floating[Any]],
    *,
    is_paired: bool = False,
    seed: int = 0,
) -> Auc:
    """Compute the area under the ROC curve with a percentile bootstrap of 2,000 resamples.

    The area is the Mann-Whitney statistic: the share of pairs in which the fake scores higher,
    with ties as half.

    Args:
        real: Scores of photos, shape (N,).
        fake: Scores of fakes, shape (M,).
        is_paired: Whether fake i was made from photo i; resamples then draw photos with their
            fakes.
        seed: Seed of the resamples.

    Raises:
        ValueError: One of the two is empty, or paired scores differ in number.

    Source: Hanley and McNeil 1982 (area); Efron and Tibshirani 1993, ch. 13 (interval).
    """
    if len(real) == 0 or len(fake) == 0 or (is_paired and len(real) != len(fake)):
        raise ValueError(
            f"no area from {counted(len(real), 'photo')} and {counted(len(fake), 'fake')}"
        )
    wins = (fake[:, None] > real[None, :]) + 0.5 * (fake[:, None] == real[None, :])
    rng = np.random.default_rng(seed)
    areas = np.empty(N_RESAMPLES)
    for index in range(N_RESAMPLES):
        reals = rng.integers(len(real), size=len(real))
        fakes = reals if is_paired else rng.integers(len(fake), size=len(fake))
        areas[index] = wins[np.ix_(fakes, reals)].mean()
    low, high = np.quantile(areas, (0.025, 0.975))
    return Auc(auc=float(wins.mean()), low=float(low), high=float(high))


def codec_features(raw: bytes) -> list[float]:
    """Return a file's features without pixels.

    Features: width, height, bytes, bytes per pixel, mean luminance quantisation, and one number
    per format (JPEG, PNG, WebP).
    """
    with Image.open(io.BytesIO(raw)) as image:
        width, height = image.size
        tables = getattr(image, "quantization", None) or {}
        luminance = float(np.mean(tables[0])) if 0 in tables else 0.0
        formats = [float(image.format == name) for name in ("JPEG", "PNG", "WEBP")]
    n_bytes = len(raw)
    return [width, height, n_bytes, n_bytes / (width * height), luminance, *formats]


def evaluate(
    model: torch.nn.Module,
    images: Sequence[TrainingImage],
    twins: Sequence[Twin],
    part: Part,
    *,
    side_px: int,
) -> Evaluation:
    """Compute all figures of one part; the control is fitted on the training part.

    An aligned fake is compared with the same window of its photo.

    Args:
        model: Model with transformers' interface.
        images: Images of all parts.
        twins: Aligned fakes of all parts.
        part: Part to evaluate.
        side_px: Side of the model's input.
    """
    photos = [p for p in images if not p.is_fake and p.part is part]
    fakes = [p for p in images if p.is_fake and p.part is part]
    photo_raws = [p.path.read_bytes() for p in photos]
    fake_raws = [p.path.read_bytes() for p in fakes]
    real_logits = score(model, photo_raws, side_px=side_px)
    fake_logits = score(model, fake_raws, side_px=side_px)
    control = _fit_control(images)
    real_control, fake_control = control(photo_raws), control(fake_raws)
    rows: list[Row] = []
    groups = {"all": np.ones(len(fakes), bool)}
    for name in dict.fromkeys(p.held_out_as or p.source for p in fakes):
        groups[name] = np.array([(p.held_out_as or p.source) == name for p in fakes])
    for name, chosen in groups.items():
        if not chosen.any() or not photos:
            continue
        rows.append(
            Row(
                against=name,
                kind="generator",
                n_real=len(photos),
                n_fake=int(chosen.sum()),
                model=auc_with_interval(real_logits, fake_logits[chosen]),
                control=auc_with_interval(real_control, fake_control[chosen]),
                tpr_at_half=float((fake_logits[chosen] > 0).mean()),
            )
        )
    rows += _aligned_rows(model, twins, part, side_px)
    sources = {"all": np.ones(len(photos), bool)}
    for name in dict.fromkeys(p.source for p in photos):
        sources[name] = np.array([p.source == name for p in photos])
    return Evaluation(
        part=part.value,
        rows=tuple(rows),
        fpr_at_half={n: float((real_logits[c] > 0).mean()) for n, c in sources.items() if c.any()},
        n_real={name: int(chosen.sum()) for name, chosen in sources.items()},
    )


def worth(
    model: torch.nn.Module,
    images: Sequence[TrainingImage],
    twins: Sequence[Twin],
    part: Part,
    *,
    side_px: int,
) -> float:
    """Return the figure that selects a model: the mean of the two areas under the ROC curve.

    One area is that of generators, the other the mean over the kinds of aligned fakes. Neither
    intervals nor the control are computed.

    Args:
        model: Model with transformers' interface.
        images: Images of all parts.
        twins: Aligned fakes of all parts.
        part: Part to evaluate.
        side_px: Side of the model's input.
    """
    chosen = [p for p in images if p.part is part]
    sides = [([p.path.read_bytes() for p in chosen if p.is_fake == f]) for f in (False, True)]
    kinds: list[float] = []
    if all(sides):
        kinds.append(_area(*(score(model, raws, side_px=side_px) for raws in sides)))
    areas = [
        _area(
            score(model, [photo_side(t) for t in ours], side_px=side_px),
            score(model, [t.raw for t in ours], side_px=side_px),
        )
        for ours in grouped(twins, part).values()
    ]
    if areas:
        kinds.append(float(np.mean(areas)))
    return float(np.mean(kinds)) if kinds else 0.0


def _area(real: NDArray[np.float32], fake: NDArray[np.float32]) -> float:
    wins = (fake[:, None] > real[None, :]) + 0.5 * (fake[:, None] == real[None, :])
    return float(wins.mean())


def _aligned_rows(
    model: torch.nn.Module, twins: Sequence[Twin], part: Part, side_px: int
) -> list[Row]:
    rows: list[Row] = []
    learnt = [t for t in twins if t.photo.part is Part.TRAIN]
    control = _control([photo_side(t) for t in learnt], [t.raw for t in learnt])
    for (name, short_px), ours in grouped(twins, part).items():
        photo_raws = [photo_side(t) for t in ours]
        real_logits = score(model, photo_raws, side_px=side_px)
        fake_logits = score(model, [t.raw for t in ours], side_px=side_px)
        rows.append(
            Row(
                against=name,
                kind="aligned",
                short_px=short_px,
                n_real=len(ours),
                n_fake=len(ours),
                model=auc_with_interval(real_logits, fake_logits, is_paired=True),
                control=auc_with_interval(
                    control(photo_raws), control([t.raw for t in ours]), is_paired=True
                ),
                tpr_at_half=float((fake_logits > 0).mean()),
            )
        )
    return rows


def grouped(twins: Sequence[Twin], part: Part) -> dict[tuple[str, int | None], list[Twin]]:
    """Group the twins of one part by autoencoder and by the photos' reduced short edge."""
    groups: dict[tuple[str, int | None], list[Twin]] = {}
    for twin in twins:
        if twin.photo.part is part:
            groups.setdefault((twin.autoencoder, twin.short_px), []).append(twin)
    return groups


def photo_side(twin: Twin) -> bytes:
    """Return the photo of a pair: its bytes, or the twin's window of it in the same encoding."""
    raw = twin.photo.path.read_bytes()
    with Image.open(io.BytesIO(raw)) as image:
        whole = reduced(to_rgb(image, PLAIN), twin.short_px)
        if twin.window == (0, 0, *image.size):
            return raw
        settings = encoding_of(image)
        window = whole.crop(twin.window)
    buffer = io.BytesIO()
    window.save(buffer, **settings)
    return buffer.getvalue()


def _fit_control(images: Sequence[TrainingImage]) -> Control:
    learnt = [p for p in images if p.part is Part.TRAIN]
    return _control(
        [p.path.read_bytes() for p in learnt if not p.is_fake],
        [p.path.read_bytes() for p in learnt if p.is_fake],
    )


def _control(real: Sequence[bytes], fake: Sequence[bytes]) -> Control:
    """Fit the control; return its function from encoded images to scores, shape (N,)."""
    from sklearn.ensemble import GradientBoostingClassifier

    if not real or not fake:
        return lambda raws: np.zeros(len(raws))
    features = np.array([codec_features(raw) for raw in (*real, *fake)])
    labels = np.array([0] * len(real) + [1] * len(fake))
    weights = np.where(labels == 1, 0.5 / len(fake), 0.5 / len(real)) * len(labels)
    classifier = GradientBoostingClassifier(random_state=0)
    classifier.fit(features, labels, sample_weight=weights)
    return lambda raws: (
        classifier.decision_function(np.array([codec_features(raw) for raw in raws]))
        if raws
        else np.zeros(0)
    )
