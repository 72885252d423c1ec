"""How far probabilities are from observed shares: reliability bins, ECE, Brier score, log loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..proportion import Interval, share

N_BINS: Final = 10
_N_RESAMPLES: Final = 500
# The interval of so many images is narrow, and a hundred resamples place its limits well enough.
_MANY: Final = 20_000
_N_RESAMPLES_OF_MANY: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Images whose probability is in one range.

    Attributes:
        low: Lower end of the range.
        high: Upper end of the range.
        n: Number of images.
        mean_prob: Mean probability; None without images.
        share_fake: Observed share of fakes; None without images.
    """

    low: float
    high: float
    n: int
    mean_prob: float | None
    share_fake: float | None

    @property
    def interval(self) -> Interval | None:
        """Observed share of fakes with its exact interval of 95 %; None without images."""
        return None if self.share_fake is None else share(round(self.share_fake * self.n), self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Measures of probabilities against labels.

    Attributes:
        bins: `N_BINS` ranges of equal width.
        ece: Expected calibration error, with a bootstrap interval of 95 %, corrected for bias.
        brier: Mean squared difference of probability and label.
        log_loss: Mean negative log likelihood.
    """

    bins: tuple[Bin, ...]
    ece: Interval
    brier: float
    log_loss: float

    def to_json(self) -> dict[str, Any]:
        """Return the measures as JSON-ready values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the measures of the values of `to_json`."""
        return cls(
            bins=tuple(Bin(**one) for one in values["bins"]),
            ece=Interval(**values["ece"]),
            brier=values["brier"],
            log_loss=values["log_loss"],
        )


def reliability(
    probs: NDArray[np.float64], is_fake: NDArray[np.bool_], *, seed: int = 0
) -> Reliability:
    """Measure probabilities against labels.

    Args:
        probs: Probabilities in [0, 1] of images that the map was not fitted on, shape (N,).
        is_fake: Labels, shape (N,), N >= 1.
        seed: Seed of the bootstrap.
    """
    # Every run imports this module, for its report, and few measure; scikit-learn is slow to load.
    from sklearn.metrics import brier_score_loss, log_loss

    rng = np.random.default_rng(seed)
    n_images = len(probs)
    n_resamples = _N_RESAMPLES if n_images <= _MANY else _N_RESAMPLES_OF_MANY
    resampled = np.empty(n_resamples)
    for number in range(n_resamples):
        index = rng.integers(0, n_images, n_images)
        resampled[number] = _ece(probs[index], is_fake[index])
    ece = _ece(probs, is_fake)
    # Resampling adds distance of its own to each bin, which the limits must not count.
    bias = resampled.mean() - ece
    low, high = np.clip(np.quantile(resampled, [0.025, 0.975]) - bias, 0, 1)
    return Reliability(
        bins=_bins(probs, is_fake),
        ece=Interval(value=ece, low=float(low), high=float(high)),
        brier=float(brier_score_loss(is_fake, probs)),
        log_loss=float(log_loss(is_fake, probs, labels=[False, True])),
    )


def _bin_of(probs: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum((probs * N_BINS).astype(np.int64), N_BINS - 1)


def _ece(probs: NDArray[np.float64], is_fake: NDArray[np.bool_]) -> float:
    """Return the mean distance of probability and share over bins, weighted by their images.

    Source: Naeini, Cooper and Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using
    Bayesian Binning", AAAI.
    """
    excess = np.bincount(_bin_of(probs), weights=probs - is_fake, minlength=N_BINS)
    return float(np.abs(excess).sum() / len(probs))


def _bins(probs: NDArray[np.float64], is_fake: NDArray[np.bool_]) -> tuple[Bin, ...]:
    at = _bin_of(probs)
    n = np.bincount(at, minlength=N_BINS)
    prob_sums = np.bincount(at, weights=probs, minlength=N_BINS)
    fakes = np.bincount(at, weights=is_fake, minlength=N_BINS)
    return tuple(
        Bin(
            low=i / N_BINS,
            high=(i + 1) / N_BINS,
            n=int(n[i]),
            mean_prob=float(prob_sums[i] / n[i]) if n[i] else None,
            share_fake=float(fakes[i] / n[i]) if n[i] else None,
        )
        for i in range(N_BINS)
    )
