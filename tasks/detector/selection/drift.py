"""How far one backend or precision moves scores from fp32 PyTorch's, and how far it may.

Pure functions on logits; `measured` keeps what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

# In fp32 the same picture must score the same everywhere: every picture, not most.
EXACT_LIMIT_LOGIT: Final = 1e-3
# In other precisions: at the 99th percentile. Beyond it decisions move more than people's do.
REDUCED_LIMIT_LOGIT: Final = 0.25
SMALL_BELOW_PX: Final = 440
LOW_QUALITY_BELOW: Final = 50
# Where int8 drifts most, by others' measurements, and the rest.
SLICES: Final = ("short edge under 440 px", "JPEG quality under 50", "others")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Absolute differences of logits over some pictures; NaN counts as infinite."""

    n_images: int
    mean: float
    p99: float
    max: float


def drift_between(reference: NDArray[np.float32], logits: NDArray[np.float32]) -> Drift:
    """The drift of `logits` from `reference`, both (N,), of the same pictures in order."""
    if len(reference) == 0:
        return Drift(n_images=0, mean=0.0, p99=0.0, max=0.0)
    apart = np.abs(logits.astype(np.float64) - reference.astype(np.float64))
    apart = np.where(np.isnan(apart), np.inf, apart)
    return Drift(
        n_images=len(apart),
        mean=float(apart.mean()),
        # The observed value at or above the percentile: between two there is no picture.
        p99=float(np.quantile(apart, 0.99, method="higher")),
        max=float(apart.max()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReport:
    """What another backend or precision changes in one kind of picture.

    Attributes:
        name: `all`, or of `SLICES`.
        drift: Of the logits.
        flips: Pictures that the thresholds would judge otherwise.
        auc_reference: Area under the ROC curve of the reference; None without both labels, or
            where a labelled picture's logit is not finite.
        auc: Of the other.
    """

    name: str
    drift: Drift
    flips: int
    auc_reference: float | None
    auc: float | None


def slice_of(short_edge_px: int, jpeg_quality: int | None) -> str:
    """The kind of picture that drift is told apart by; the first that fits."""
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
    """Drift, flips and AUC over all pictures, then over each slice that has any.

    Args:
        reference: Logits (N,) of the reference.
        logits: Of the other, of the same pictures in order.
        slices: The slice of each.
        labels: 1 machine-made, 0 real, None unknown.
        review_at: Threshold on the probability.
        flag_at: Likewise, at or above `review_at`.
    """
    kinds, truth = np.asarray(slices, dtype=object), np.asarray(labels, dtype=object)
    out = []
    for name in ("all", *SLICES):
        mine = np.full(len(reference), fill_value=True) if name == "all" else kinds == name
        if name != "all" and not mine.any():
            continue
        a, b = reference[mine], logits[mine]
        judged_a, judged_b = (_judged(one, review_at, flag_at) for one in (a, b))
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
    """0 clear, 1 review, 2 flag; NaN is no score, and goes to review."""
    prob = expit(logits.astype(np.float64)).astype(np.float32)
    judged = np.digitize(prob, [np.float32(review_at), np.float32(flag_at)])
    # What is no score goes to people; `digitize` would put it above every threshold.
    return np.where(np.isnan(prob), 1, judged).astype(np.int64)


def _auc(logits: NDArray[np.float32], labels: NDArray[np.object_]) -> float | None:
    known = np.array([label is not None for label in labels], dtype=bool)
    truth = labels[known].astype(np.int64)
    # Without its worst pictures an area would compare with another set's.
    if len(set(truth.tolist())) < 2 or not np.isfinite(logits[known]).all():
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, logits[known]))


def is_exact(precision: str) -> bool:
    """Whether scores of this precision must be those of the reference."""
    return precision == "fp32"


def limit_logit(precision: str) -> float:
    """How far a backend of this precision may move a logit."""
    return EXACT_LIMIT_LOGIT if is_exact(precision) else REDUCED_LIMIT_LOGIT


def judged_logit(drift: Drift, precision: str) -> float:
    """The figure that is held against the limit: the maximum in fp32, else the 99th percentile."""
    return drift.max if is_exact(precision) else drift.p99
