"""Drift of a backend's or precision's scores from those of PyTorch in fp32, and its limits.

Pure functions on logits; `measurements` keeps their results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

# fp32: limit on the largest difference, since every image must score the same on every machine.
EXACT_LIMIT_LOGIT: Final = 1e-3
# Other precisions: limit on the 99th percentile. Above it, decisions would differ more than those
# of human reviewers do.
REDUCED_LIMIT_LOGIT: Final = 0.25
SMALL_BELOW_PX: Final = 440
LOW_QUALITY_BELOW: Final = 50
# The kinds of image on which int8 drifts most according to published measurements, and the rest.
SLICES: Final = ("short edge under 440 px", "JPEG quality under 50", "others")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Absolute differences of logits over a set of images; NaN counts as infinite."""

    n_images: int
    mean: float
    p99: float
    max: float


def drift_between(reference: NDArray[np.float32], logits: NDArray[np.float32]) -> Drift:
    """Return the drift of `logits` from `reference`, both (N,), for the same images in order."""
    if len(reference) == 0:
        return Drift(n_images=0, mean=0.0, p99=0.0, max=0.0)
    apart = np.abs(logits.astype(np.float64) - reference.astype(np.float64))
    apart = np.where(np.isnan(apart), np.inf, apart)
    return Drift(
        n_images=len(apart),
        mean=float(apart.mean()),
        # "higher": an observed value, since no image lies between two of them.
        p99=float(np.quantile(apart, 0.99, method="higher")),
        max=float(apart.max()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReport:
    """Effect of another backend or precision on one kind of image.

    Attributes:
        name: `all`, or one of `SLICES`.
        drift: Drift of the logits.
        flips: Number of images whose decision changes at the same thresholds.
        auc_reference: Area under the ROC curve of the reference; None without both labels, or
            where a labelled image's logit is not finite.
        auc: Area under the ROC curve of the other backend or precision; None likewise.
    """

    name: str
    drift: Drift
    flips: int
    auc_reference: float | None
    auc: float | None


def slice_of(short_edge_px: int, jpeg_quality: int | None) -> str:
    """Return the first of `SLICES` that an image belongs to.

    Args:
        short_edge_px: Short edge of the image.
        jpeg_quality: Quality of the JPEG from 1 to 100; None for other formats.
    """
    if short_edge_px < SMALL_BELOW_PX:
        return SLICES[0]
    if jpeg_quality is not None and jpeg_quality < LOW_QUALITY_BELOW:
        return SLICES[1]
    return SLICES[2]


def drift_by_slice(
    reference: NDArray[np.float32],
    logits: NDArray[np.float32],
    *,
    slices: Sequence[str],
    labels: Sequence[int | None],
    review_at: float,
    flag_at: float,
) -> list[SliceReport]:
    """Return drift, flips and AUC over all images, then over each slice that has images.

    Args:
        reference: Logits (N,) of the reference.
        logits: Logits (N,) of the other backend or precision, for the same images in order.
        slices: Slice of each image.
        labels: Label of each image: 1 AI-generated, 0 real, None unknown.
        review_at: Threshold of review on the probability.
        flag_at: Threshold of flag on the probability, at or above `review_at`.
    """
    kinds, truth = np.asarray(slices, dtype=object), np.asarray(labels, dtype=object)
    out = []
    for name in ("all", *SLICES):
        mine = np.full(len(reference), fill_value=True) if name == "all" else kinds == name
        if name != "all" and not mine.any():
            continue
        a, b = reference[mine], logits[mine]
        judged_a, judged_b = (_judged(values, review_at, flag_at) for values in (a, b))
        out.append(
            SliceReport(
                name=name,
                drift=drift_between(a, b),
                flips=int((judged_a != judged_b).sum()),
                auc_reference=_auc(a, truth[mine]),
                auc=_auc(b, truth[mine]),
            )
        )
    return out


def _judged(logits: NDArray[np.float32], review_at: float, flag_at: float) -> NDArray[np.int64]:
    """Return the decision of each logit: 0 clear, 1 review, 2 flag; NaN goes to review."""
    prob = expit(logits.astype(np.float64)).astype(np.float32)
    judged = np.digitize(prob, [np.float32(review_at), np.float32(flag_at)])
    # `digitize` would put NaN above every threshold.
    return np.where(np.isnan(prob), 1, judged).astype(np.int64)


def _auc(logits: NDArray[np.float32], labels: NDArray[np.object_]) -> float | None:
    known = np.array([label is not None for label in labels], dtype=bool)
    truth = labels[known].astype(np.int64)
    # Without the images of non-finite logits, the two areas would be of different sets.
    if len(set(truth.tolist())) < 2 or not np.isfinite(logits[known]).all():
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, logits[known]))


def is_exact(precision: str) -> bool:
    """Return whether scores of a precision must equal those of the reference."""
    return precision == "fp32"


def limit_logit(precision: str) -> float:
    """Return the limit on the drift of a precision, in logits."""
    return EXACT_LIMIT_LOGIT if is_exact(precision) else REDUCED_LIMIT_LOGIT


def judged_logit(drift: Drift, precision: str) -> float:
    """Return the figure that the limit bounds: the maximum in fp32, else the 99th percentile."""
    return drift.max if is_exact(precision) else drift.p99
