"""Shares with exact intervals."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with the limits of its interval, all in [0, 1]."""

    value: float
    low: float
    high: float

    def text(self) -> str:
        """Return the estimate and the interval in per cent."""
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f} %)"


def share(k: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return a share k / n with its exact interval (Clopper and Pearson 1934).

    Args:
        k: Number of successes, 0 to `n`.
        n: Number of trials, 1 or more.
        confidence: Coverage of the interval, in (0, 1).
    """
    # Every run imports this module and few call this; scipy.stats takes half a second to load.
    from scipy.stats import binomtest

    limits = binomtest(k, n).proportion_ci(confidence_level=confidence, method="exact")
    return Interval(value=k / n, low=float(limits.low), high=float(limits.high))
