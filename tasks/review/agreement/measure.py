"""A measured value with its interval, or the reason why it cannot be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

N_RESAMPLES: Final = 2_000
# An interval from fewer resamples with a value would be one of chance.
_MIN_RESAMPLES: Final = 200
# Resampled counts in memory at a time.
_MAX_CELLS: Final = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Value with its 95 % intervals.

    Attributes:
        value: Value; None if it cannot be measured.
        low: Lower bound of the bootstrap interval over images; None without one.
        high: Upper bound of the same.
        analytic_low: Lower bound of the asymptotic interval; None where none is standard.
        analytic_high: Upper bound of the same.
        n_images: Number of images that the value rests on.
        n_answers: Number of answers that the value rests on.
        why_not: Reason why there is no value or no interval; None if there are both.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    analytic_low: float | None = None
    analytic_high: float | None = None
    n_images: int = 0
    n_answers: int = 0
    why_not: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the measure as plain values."""
        return {name: getattr(self, name) for name in self.__slots__}

    def describe(self) -> str:
        """Return value and interval as a text, or the reason why there is none."""
        if self.value is None:
            return f"cannot be measured: {self.why_not}"
        if self.low is None or self.high is None:
            return f"{self.value:.3f} (no interval: {self.why_not})"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def resampled_counts(counts: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """Return counts of `N_RESAMPLES` samples of the images with replacement, (R, N).

    A statistic of counts needs no more of a sample than how often each kind of image is in it. So
    the cost does not grow with the number of images.

    Args:
        counts: Number of images of each of N kinds.
        seed: Seed of the samples.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 6.
    """
    rng = np.random.default_rng(seed)
    share = counts / counts.sum()
    drawn = np.empty((N_RESAMPLES, len(counts)), np.int64)
    rows = max(1, _MAX_CELLS // len(counts))
    for begin in range(0, N_RESAMPLES, rows):
        end = min(N_RESAMPLES, begin + rows)
        drawn[begin:end] = rng.multinomial(int(counts.sum()), share, size=end - begin)
    return drawn


def percentiles(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95 % interval of resampled values; None if too few of them are finite.

    Args:
        values: Value per resample; NaN where it is not defined.
    """
    finite = values[np.isfinite(values)]
    if len(finite) < _MIN_RESAMPLES:
        return None
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)
